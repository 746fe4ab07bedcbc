"""fnkit invoke: call a function by its name or URL."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from fnkit.cli.boto import import_boto3
from fnkit.cli.console import Console
from fnkit.cli.options import common
from fnkit.deploy.call import Call, Reply, send, signature, signing_region
from fnkit.deploy.resolve import Functions, deployed_url, emulated_url
from fnkit.errors import InvokeError, UsageError
from fnkit.functions.sigv4 import Credentials
from fnkit.project import read_settings

_SHOWN_OF_AN_ERROR = 2000  # bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look for a function by its name."""

    emulator: str
    stage: str
    region: str
    endpoint_url: str


@click.command("invoke")
@click.argument("name", metavar="NAME-or-URL")
@click.option("-d", "--data", metavar="BODY", help="The body: text, @FILE, or - for standard input.")
@click.option(
    "--content-type", default="", help="The body's media type; default: application/json if it is JSON, else text/plain."
)
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME:VALUE", help="A header of the request; may be repeated.")
@click.option("-X", "--method", default="", help="The method; default: POST with a body, else GET.")
@click.option("-p", "--path", default="", help="A path below the function's URL.")
@click.option("--stream", is_flag=True, help="Print each chunk as it arrives.")
@click.option("--timeout", type=click.FloatRange(0.1), default=300.0, show_default=True, help="Seconds without a byte.")
@click.option("--url", "emulator", default="", metavar="URL", help="Look for NAME in the emulator there.")
@click.option("--stage", default="", help="The stage that NAME is deployed on.")
@click.option("--region", default="", help="The AWS region that NAME is deployed in.")
@click.option("--endpoint-url", default="", metavar="URL", help="Look for NAME there instead of on AWS.")
@common
def command(
    console: Console,
    name: str,
    data: str | None,
    content_type: str,
    headers: tuple[str, ...],
    method: str,
    path: str,
    stream: bool,
    timeout: float,
    emulator: str,
    stage: str,
    region: str,
    endpoint_url: str,
) -> None:
    """Call a function: by its URL, by the name of its graph on AWS, or by its name in an emulator (--url, FNKIT_EMULATOR_URL).

    Calls to function URLs of AWS are signed with your AWS credentials.
    """
    place = Place(emulator or os.environ.get("FNKIT_EMULATOR_URL", ""), stage, region, endpoint_url)
    url = _below(find_url(name, place), path)
    body = read_body(data)
    sent = [_header(text) for text in headers]
    if data is not None and not any(key.lower() == "content-type" for key, _ in sent):
        sent.append(("Content-Type", content_type or media_type(body)))
    call = Call(url, method.upper() or ("GET" if data is None else "POST"), tuple(sent), body, timeout)
    if signing_region(url):
        call = signed(call, console)
    console.detail(f"{call.method} {call.url}")
    started = time.perf_counter()
    reply = send(call)
    console.detail(f"{reply.status} {reply.reason}\n" + "\n".join(f"{key}: {value}" for key, value in reply.headers))
    if reply.status >= 400:
        raise refused(reply, call)
    show = show_stream if stream else show_whole
    show(console, reply, started)


def find_url(name: str, place: Place) -> str:
    """Return the URL that *name* means."""
    if name.startswith(("http://", "https://")):
        return name
    if place.emulator and not place.endpoint_url:
        return emulated_url(place.emulator, name)
    settings = read_settings(Path.cwd(), os.environ)
    functions: Functions = import_boto3("fnkit.deploy.aws").Aws.connect(
        region=place.region or settings.region, endpoint_url=place.endpoint_url
    )
    return deployed_url(name, place.stage or settings.stage, functions)


def signed(call: Call, console: Console) -> Call:
    """Return *call* with a signature; as it is where nobody said who they are, for a public URL needs none."""
    credentials = Credentials.from_environment(os.environ) or _configured_credentials()
    if credentials is None:
        console.say("no AWS credentials: the call is not signed, which only a public URL accepts")
        return call
    return replace(call, headers=(*call.headers, *signature(call, credentials)))


def read_body(data: str | None) -> bytes:
    """Return the body that -d gives: text, `@FILE`, or `-` for standard input."""
    if data is None:
        return b""
    if data == "-":
        return sys.stdin.buffer.read()
    if data.startswith("@"):
        try:
            return Path(data[1:]).read_bytes()
        except OSError as error:
            raise UsageError(
                f"cannot be read: {error.strerror}", where=data[1:], hint="-d @FILE sends the file's bytes"
            ) from error
    return data.encode()


def media_type(body: bytes) -> str:
    """Return what *body* looks like."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        pass
    else:
        return "application/json"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain; charset=utf-8"


def show_stream(console: Console, reply: Reply, started: float) -> None:
    """Show each chunk when it arrives."""
    count = 0
    for piece in reply.chunks:
        count += 1
        passed = round((time.perf_counter() - started) * 1000, 1)
        console.event(event="chunk", ms=passed, data=piece.decode("utf-8", "replace"))
        _write(console, piece)
    passed = round((time.perf_counter() - started) * 1000, 1)
    console.event(event="response", status=reply.status, headers=dict(reply.headers), chunks=count, ms=passed)


def show_whole(console: Console, reply: Reply, started: float) -> None:
    """Show the answer when all of it is there."""
    body = b"".join(reply.chunks)
    passed = round((time.perf_counter() - started) * 1000, 1)
    text = body.decode("utf-8", "replace")
    console.event(event="response", status=reply.status, headers=dict(reply.headers), body=text, ms=passed)
    _write(console, body if body.endswith(b"\n") or not sys.stdout.isatty() else body + b"\n")


def refused(reply: Reply, call: Call) -> InvokeError:
    """Return the error of an answer whose status says that it failed."""
    text = _first(reply.chunks, _SHOWN_OF_AN_ERROR).decode("utf-8", "replace").strip()
    hint = ""
    if reply.status == 403 and signing_region(call.url):
        hint = "the caller needs lambda:InvokeFunctionUrl and lambda:InvokeFunction on the function, or deploy it with --public"
    return InvokeError(f"{reply.status} {reply.reason}: {text}", where=call.url, hint=hint)


def _first(chunks: Iterator[bytes], limit: int) -> bytes:
    found = b""
    for piece in chunks:
        found += piece
        if len(found) >= limit:
            break
    return found[:limit]


def _configured_credentials() -> Credentials | None:
    session = import_boto3("fnkit.deploy.session")
    found = session.find_credentials()
    if found is None:
        return None
    return Credentials(found.access_key, found.secret_key, found.token or "")


def _below(url: str, path: str) -> str:
    return f"{url.rstrip('/')}/{path.lstrip('/')}" if path else url


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(char in text for char in "\r\n"):
        raise UsageError(f"{text!r} is no header", where="-H", hint="give it as NAME:VALUE")
    return name.strip(), value.strip()


def _write(console: Console, data: bytes) -> None:
    """Write the answer as it is; with --json the events say it."""
    if not console.as_json:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
