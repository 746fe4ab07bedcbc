"""Small files that a user's project brings: requirement lists, secrets; and where a named file is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fnkit.errors import LoadError, MLRunInvalidArgumentError
from fnkit.manifest.spelling import closest, did_you_mean
from fnkit.project.origin import find_file

_OWN = re.compile(r"fnkit(?![A-Za-z0-9._-]*[A-Za-z0-9])", re.IGNORECASE)
_FILE = re.compile(r"\.(txt|in)$|^[^@:]*[/\\]")  # what no name of a package looks like
_SECRET_KINDS = ("inline", "file", "env")


def find_or_refuse(name: str, folders: tuple[Path, ...]) -> Path:
    """Return the file that *name* means; LoadError says where it was looked for, and which file may be meant."""
    found = find_file(name, folders)
    if found is not None:
        return found
    looked = tuple(dict.fromkeys(str(folder) for folder in folders))
    near = closest(Path(name).name, [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()])
    hint = f"did you mean {near!r}? " if near else ""
    raise LoadError(f"there is no file {name!r}", hint=f"{hint}looked in {', '.join(looked)}")


def requirement_lines(given: str | Path | Iterable[str] | None, folders: tuple[Path, ...]) -> list[str]:
    """Return the pip lines that *given* means: lines, the name of a file that holds them, or one line alone.

    MLRunInvalidArgumentError for lines that are no text, LoadError for a file that is not there.
    """
    if given is None:
        return []
    if isinstance(given, Path) or (isinstance(given, str) and (_FILE.search(given) or find_file(given, folders))):
        return read_requirements(find_or_refuse(str(given), folders))
    lines = [given] if isinstance(given, str) else list(given)
    for line in lines:
        if not isinstance(line, str):
            raise MLRunInvalidArgumentError(f"a requirement is a text, not {line!r}", hint='for example "numpy>=2"')
    return lines


def read_requirements(path: Path, seen: tuple[Path, ...] = ()) -> list[str]:
    """Return the requirement lines of a requirements.txt, those of files it includes with `-r` among them.

    fnkit itself is left out: every bundle brings it. LoadError for other options of pip, which no bundle could carry.
    """
    if path in seen:
        raise LoadError("requirement files include each other", where=str(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"cannot be read: {error}", where=str(path)) from error
    lines: list[str] = []
    for number, line in enumerate(text.replace("\\\n", " ").splitlines(), 1):
        said = re.sub(r"(^|\s)#.*", "", line).strip()
        included = re.fullmatch(r"(?:-r|--requirement)[ =]*(.+)", said)
        if included:
            inner = (path.parent / included[1]).resolve()
            if not inner.is_file():
                raise LoadError(f"includes {included[1]!r}, which does not exist", where=f"{path}:{number}")
            lines += read_requirements(inner, (*seen, path))
        elif said.startswith("-"):
            raise LoadError(
                f"the option {said.split()[0]!r} of pip cannot be carried into a bundle",
                where=f"{path}:{number}",
                hint="name packages and versions only; set PIP_INDEX_URL and the like in the environment",
            )
        elif said and not _OWN.match(said):
            lines.append(said)
    return lines


def read_secrets(kind: str, source: object, folders: tuple[Path, ...], environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the secrets that *source* holds; MLRunInvalidArgumentError for an unknown *kind* or a source of another kind."""
    if kind == "inline" and isinstance(source, Mapping):
        return {str(key): str(value) for key, value in source.items()}
    if kind == "file" and isinstance(source, str | Path):
        return _secrets_of(find_or_refuse(str(source), folders))
    if kind == "env" and isinstance(source, str):
        names = [name.strip() for name in source.split(",") if name.strip()]
        return {name: environ[name] for name in names if name in environ}
    if kind not in _SECRET_KINDS:
        raise MLRunInvalidArgumentError(f"unknown kind of secrets {kind!r}", hint=did_you_mean(kind, _SECRET_KINDS))
    raise MLRunInvalidArgumentError(
        f"secrets of kind {kind!r} cannot come from a {type(source).__name__}",
        hint='("inline", {"NAME": "value"}), ("file", "path") or ("env", "NAME,NAME")',
    )


def _secrets_of(path: Path) -> Mapping[str, str]:
    """Return the secrets of a file: a JSON object, or lines `NAME=value`."""
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("{"):
        try:
            return {str(key): str(value) for key, value in json.loads(text).items()}
        except ValueError as error:
            raise LoadError(f"not valid JSON: {error}", where=str(path)) from error
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}
