import socket

import pytest

from fnkit.deploy.call import Call, send, signature, signing_region
from fnkit.errors import InvokeError, StreamingError, UsageError
from fnkit.functions.sigv4 import Credentials
from tests.fakes.http_answers import answering

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def test_chunks_are_passed_on_as_they_arrive() -> None:
    with answering([CHUNKED + b"3\r\none\r\n", b"3\r\ntwo\r\n", b"0\r\n\r\n"], gated=True) as server:
        reply = send(Call(server.url))
        first = next(reply.chunks)
        server.gates[1].set()  # the second is not sent before the first is here
        second = next(reply.chunks)
        server.gates[2].set()

        assert (first, second, list(reply.chunks)) == (b"one", b"two", [])


def test_method_path_query_headers_and_body_are_sent() -> None:
    with answering([OK + b"Content-Length: 2\r\n\r\nhi"]) as server:
        reply = send(Call(f"{server.url}a/b?c=d", "PUT", (("X-One", "1"),), b"body"))

        assert b"".join(reply.chunks) == b"hi"
    assert server.received.startswith(b"PUT /a/b?c=d HTTP/1.1\r\n")
    assert b"X-One: 1\r\n" in server.received
    assert server.received.endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNKED + b"3\r\none\r\n"],
        [CHUNKED + b"9\r\none"],
        [OK + b"Content-Length: 9\r\n\r\none"],
    ],
)
def test_an_answer_that_breaks_off_is_an_error_after_what_arrived(pieces: list[bytes]) -> None:
    with answering(pieces) as server:
        reply = send(Call(server.url))
        arrived = next(reply.chunks) if b"one" in pieces[0] else b""

        with pytest.raises(StreamingError, match="broke off"):
            list(reply.chunks)
    assert arrived == b"one"


def test_a_port_that_nobody_listens_on_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"

    with pytest.raises(InvokeError) as caught:
        send(Call(url))

    assert caught.value.where == url


def test_a_server_that_says_nothing_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(InvokeError, match=r"no answer within 0\.2 s"):
            send(Call(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.2))


def test_a_server_that_speaks_something_else_is_an_error() -> None:
    with answering([b"SSH-2.0-OpenSSH\r\n"]) as server:
        with pytest.raises(InvokeError, match="no answer"):
            send(Call(server.url))


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "chat", "http://h:port/"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        send(Call(url))


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://abc123.lambda-url.eu-central-1.on.aws/", "eu-central-1"),
        ("http://127.0.0.1:8080/", ""),
        ("https://abc.lambda-url.eu-central-1.on.aws.example.com/", ""),
    ],
)
def test_only_function_urls_of_aws_are_signed(url: str, region: str) -> None:
    assert signing_region(url) == region


def test_a_call_is_signed_for_lambda_in_the_urls_region() -> None:
    call = Call("https://abc.lambda-url.eu-central-1.on.aws/p?q=1", "POST", (("Content-Type", "text/plain"),), b"x")

    headers = dict(signature(call, Credentials("AK", "secret", "token"), clock=lambda: 1_700_000_000.0))

    assert headers["X-Amz-Date"] == "20231114T221320Z"
    assert headers["X-Amz-Security-Token"] == "token"
    assert "Credential=AK/20231114/eu-central-1/lambda/aws4_request" in headers["Authorization"]
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token" in headers["Authorization"]
