"""HTTPS on both transports, with certificates made for the test."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fnkit.net import aio, blocking
from fnkit.net.client import Client
from fnkit.net.errors import ConnectError
from tests.fakes.net import TcpServer, keeping_alive

if TYPE_CHECKING:
    from pathlib import Path

    from fnkit.net.stream import Connector

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fnkit test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def fetch(connector: Connector, url: str) -> bytes:
    async with Client(connector) as client:
        first = await (await client.request("GET", url)).read()
        second = await (await client.request("GET", url, timeout_s=5)).read()
    return first + second


@pytest.mark.parametrize("transport", ["blocking", "asyncio"])
def test_https_is_spoken_with_a_trusted_server(certificate: Path, transport: str) -> None:
    trusted = ssl.create_default_context(cafile=str(certificate))
    with TcpServer(keeping_alive(OK), ssl_context=server_context(certificate)) as server:
        if transport == "blocking":
            got = blocking.run(fetch(blocking.connector(ssl_context=trusted), server.url))
        else:
            got = asyncio.run(fetch(aio.connector(ssl_context=trusted), server.url))

        assert got == b"okok"
        assert server.accepted == 1


@pytest.mark.parametrize("transport", ["blocking", "asyncio"])
def test_an_untrusted_certificate_is_refused(certificate: Path, transport: str) -> None:
    with TcpServer(keeping_alive(OK), ssl_context=server_context(certificate)) as server:
        coroutine = fetch(blocking.connector() if transport == "blocking" else aio.connector(), server.url)
        run = blocking.run if transport == "blocking" else asyncio.run
        with pytest.raises(ConnectError, match=r"(?i)certificate"):
            run(coroutine)
