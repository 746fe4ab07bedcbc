"""Write and read zip archives whose bytes depend on nothing but names, contents and executable bits.

Entries stand sorted by name, carry the first date that the format knows, one of two modes, the mark of Unix as their
system, and nothing else: no directories, no extra fields, no comments. An entry is packed by itself, so several threads
pack at once (zlib lets go of the interpreter), and entries of an archive that was written before are copied into another
one as they are, without being unpacked: that is what makes a cache of installed requirements worth having.

The compressed bytes are those of the zlib that Python runs with; another build of zlib may pack the same contents
into other bytes.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fnkit.errors import BundleError

_STORED, _DEFLATED = 0, 8
_LEVEL = 6
_TIME, _DATE = 0, (1980 - 1980) << 9 | 1 << 5 | 1
_UTF8 = 0x800
_UNIX = 3
_MAX_ENTRIES = 0xFFFF
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sBBHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")


@dataclass(frozen=True, slots=True)
class Packed:
    """One entry as it stands in the archive: *data* is compressed by *method*, *size* is its size unpacked."""

    name: str
    executable: bool
    method: int
    crc: int
    size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """An archive that was written: the hex SHA-256 of the file, its size and the size of its contents, in bytes."""

    sha256: str
    size: int
    unzipped_size: int


def pack(name: str, content: bytes, *, executable: bool = False) -> Packed:
    """Return the entry *name* with *content*, compressed where that makes it smaller."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = packer.compress(content) + packer.flush()
    small = len(deflated) < len(content)
    return Packed(
        name,
        executable,
        _DEFLATED if small else _STORED,
        zlib.crc32(content),
        len(content),
        deflated if small else content,
    )


def pack_all(entries: Sequence[tuple[str, bytes, bool]]) -> list[Packed]:
    """Pack *(name, content, executable)* triples, on as many threads as there are processors."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(lambda entry: pack(entry[0], entry[1], executable=entry[2]), entries))


def unpack(entry: Packed) -> bytes:
    """Return the content of *entry*."""
    return zlib.decompress(entry.data, -zlib.MAX_WBITS) if entry.method == _DEFLATED else entry.data


def write_archive(path: Path, entries: Iterable[Packed]) -> Written:
    """Write *entries* to *path*, complete or not at all. BundleError if two have one name or there are too many."""
    ordered = sorted(entries, key=lambda entry: entry.name)
    _refuse_impossible(ordered, path)
    digest = hashlib.sha256()
    size = 0
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            for piece in _pieces(ordered):
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return Written(digest.hexdigest(), size, sum(entry.size for entry in ordered))


def read_archive(path: Path) -> tuple[Packed, ...]:
    """Return the entries of an archive that `write_archive` wrote, still packed. BundleError if it is damaged."""
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(_entry(data, info) for info in archive.infolist())
    except (zipfile.BadZipFile, struct.error) as error:
        raise BundleError(f"not a readable zip archive: {error}", where=str(path)) from error


def hash_file(path: Path) -> str:
    """Return the hex SHA-256 of the file at *path*."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_impossible(ordered: list[Packed], path: Path) -> None:
    for before, entry in pairwise(ordered):
        if before.name == entry.name:
            raise BundleError(f"two files want to be {entry.name!r}", where=str(path))
    if len(ordered) > _MAX_ENTRIES:
        raise BundleError(f"{len(ordered)} files are more than the {_MAX_ENTRIES} that a zip holds", where=str(path))


def _pieces(ordered: list[Packed]) -> Iterable[bytes]:
    offset = 0
    central: list[bytes] = []
    for entry in ordered:
        head, record = _headers(entry, offset)
        central.append(record)
        offset += len(head) + len(entry.data)
        yield head
        yield entry.data
    directory = b"".join(central)
    yield directory
    yield _END.pack(b"PK\x05\x06", 0, 0, len(ordered), len(ordered), len(directory), offset, 0)


def _headers(entry: Packed, offset: int) -> tuple[bytes, bytes]:
    name = entry.name.encode()
    flags = 0 if name.isascii() else _UTF8
    common = (flags, entry.method, _TIME, _DATE, entry.crc, len(entry.data), entry.size, len(name), 0)
    attributes = (0o100755 if entry.executable else 0o100644) << 16
    local = _LOCAL.pack(b"PK\x03\x04", 20, *common)
    central = _CENTRAL.pack(b"PK\x01\x02", 20, _UNIX, 20, *common, 0, 0, 0, attributes, offset)
    return local + name, central + name


def _entry(data: bytes, info: zipfile.ZipInfo) -> Packed:
    *_, name_length, extra_length = _LOCAL.unpack_from(data, info.header_offset)
    start = info.header_offset + _LOCAL.size + name_length + extra_length
    executable = bool(info.external_attr >> 16 & 0o100)
    content = data[start : start + info.compress_size]
    return Packed(info.filename, executable, info.compress_type, info.CRC, info.file_size, content)
