"""A real server that asks for tokens and speaks TLS, as its user meets it."""

from __future__ import annotations

import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cramjam
import pytest

from tests.peers import Peer, free_port, program, wait_for
from tests.write_request import write_request

pytestmark = pytest.mark.slow


class Secured(NamedTuple):
    """The server, and what is needed to talk to it."""

    peer: Peer
    data: Path
    tls: ssl.SSLContext

    def ask(self, path: str, token: str = "", body: bytes | None = None, **headers: str) -> tuple[int, bytes, str]:
        """Status, body and cookie."""
        request = urllib.request.Request(self.peer.url + path, body)  # noqa: S310 - loopback
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.build_opener(
                urllib.request.HTTPSHandler(context=self.tls), _Stay
            ).open(request, timeout=60) as answer:  # fmt: skip
                return answer.status, answer.read(), answer.headers.get("Set-Cookie", "")
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers.get("Set-Cookie", "")


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Do not follow."""


def cli(*arguments: str) -> str:
    """What the command prints."""
    command = [sys.executable, "-m", "mirante", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """With a certificate for the loopback address that is made here."""
    folder = tmp_path_factory.mktemp("secured")
    cert, key, port = folder / "cert.pem", folder / "key.pem", free_port()
    make = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    about = ["-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*make, *about, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    flags = ["--data", str(folder / "data"), "--port", str(port), "--auth", "on"]
    tls = ["--tls-cert", str(cert), "--tls-key", str(key), "--limits-series", "1000000"]
    command = [sys.executable, "-m", "mirante", "serve", *flags, *tls]
    context = ssl.create_default_context(cafile=str(cert))
    peer = Peer(command, f"https://127.0.0.1:{port}", folder / "mirante.log")
    secured = Secured(peer, folder / "data", context)

    def ready() -> bool:
        assert peer.process.poll() is None, peer.output.read_text()
        try:
            return secured.ask("/-/ready")[0] == 200
        except OSError:
            return False

    try:
        wait_for(ready, what="the server to be ready")
        yield secured
    finally:
        peer.stop()


def test_who_has_a_token_sends_and_asks(server: Secured) -> None:
    """Made while the server runs; the right to write is not the right to read; revoked, it is worthless at once."""
    where = ("--data", str(server.data))
    writer = cli("token", "create", "sender", "--right", "write", *where)
    reader = cli("token", "create", "grafana", "--right", "read", "--expires", "1h", *where)
    now = int(time.time())
    message = write_request([({"__name__": "sent", "job": "a"}, [(now * 1000, 4.0)])])
    body = bytes(cramjam.snappy.compress_raw(message))
    headers = {"Content_Type": "application/x-protobuf", "Content_Encoding": "snappy"}
    assert server.ask("/api/v1/write", body=body, **headers)[0] == 401
    assert server.ask("/api/v1/write", reader, body, **headers)[0] == 403
    assert server.ask("/api/v1/write", writer, body, **headers)[0] == 204
    question = f"/api/v1/query?query=sent&time={now}"
    wait_for(lambda: b'"4"' in server.ask(question, reader)[1], what="what was sent")
    assert server.ask(question, writer)[0] == 403
    (line,) = [line for line in cli("token", "list", *where).splitlines() if line.endswith("grafana")]
    cli("token", "revoke", line.split()[0], *where)
    assert server.ask(question, reader)[0] == 401


def test_the_server_still_scrapes_itself(server: Secured) -> None:
    """With a token of its own, over its own certificate."""
    reader = cli("token", "create", "me", "--right", "read", "--data", str(server.data))
    wait_for(
        lambda: server.ask("/api/v1/query?query=count(up==1)", reader)[1].count(b'"2"') == 1,
        what="both built-in jobs to be up",
    )


def test_the_link_that_is_printed_opens_the_page(server: Secured) -> None:
    """Once; the cookie does not go without TLS; every request is in the log with who asked."""
    assert server.ask("/", Accept="text/html")[0] == 303
    found = re.search(r"open the page once with (\S+?)(/login\S+)", server.peer.output.read_text())
    assert found is not None
    assert found[1] == server.peer.url
    status, _, cookie = server.ask(found[2])
    assert status == 303
    assert "secure" in cookie.lower()
    assert server.ask("/api/v1/labels", Cookie=cookie.partition(";")[0])[0] == 200
    assert server.ask(found[2])[0] == 401
    wait_for(lambda: ' console "GET /api/v1/labels" 200 ' in server.peer.output.read_text(), what="the line of the log")
