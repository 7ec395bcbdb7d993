"""The sender of the benchmarks sends what it was given: otherwise its figures mean nothing."""

from __future__ import annotations

import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.peers import program

pytestmark = pytest.mark.slow
SOURCE = Path(__file__).parents[2] / "benchmarks" / "sender.c"
HEADERS = "Content-Encoding: snappy\r\n"


class Receiver(BaseHTTPRequestHandler):
    """Notes what it gets by connection, and answers with the statuses that it was given, then with 204."""

    protocol_version = "HTTP/1.1"
    statuses: ClassVar[list[int]] = []
    taken: ClassVar[dict[int, list[bytes]]] = {}
    heads: ClassVar[set[tuple[str, str | None]]] = set()

    def do_POST(self) -> None:
        """Take one body."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heads.add((self.path, self.headers["Content-Encoding"]))
        status = self.statuses.pop(0) if self.statuses else 204
        if status // 100 == 2:
            self.taken.setdefault(self.client_address[1], []).append(body)
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "6")
        self.end_headers()
        if status != 204:
            self.wfile.write(b"reason")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiver(*statuses: int) -> Iterator[int]:
    """The receiver's port."""
    Receiver.statuses[:] = statuses
    Receiver.taken.clear()
    Receiver.heads.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sender, compiled without a warning."""
    made = tmp_path_factory.mktemp("sender") / "sender"
    subprocess.run([program("cc"), "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", made, SOURCE], check=True)
    return made


def bodies_file(path: Path, bodies: Sequence[bytes]) -> Path:
    """Bodies, each after its size."""
    path.write_bytes(b"".join(struct.pack("<I", len(body)) + body for body in bodies))
    return path


def send(sender: Path, port: int, *files: Path) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sender, str(port), "/api/v1/write", HEADERS, *files], capture_output=True, text=True, check=False, timeout=120
    )


def test_every_connection_sends_its_own_bodies_in_order_and_once(sender: Path, tmp_path: Path) -> None:
    """Each file arrives whole on a connection of its own, whatever bytes and sizes its bodies have."""
    lanes = [[bytes([lane, 0, 10, 13]) * (number * 997) for number in range(20)] for lane in range(3)]
    files = [bodies_file(tmp_path / str(lane), bodies) for lane, bodies in enumerate(lanes)]
    with receiver() as port:
        done = send(sender, port, *files)
        assert done.returncode == 0, done.stderr
        assert sorted(Receiver.taken.values()) == sorted(lanes)
    assert Receiver.heads == {("/api/v1/write", "snappy")}
    requests, retries, seconds = done.stdout.split()
    assert (requests, retries) == ("60", "0")
    assert float(seconds) > 0


def test_a_server_that_has_no_room_is_asked_again(sender: Path, tmp_path: Path) -> None:
    """429 and 503 are counted and repeated; an answer with a body is read whole, so that the next one is in step."""
    with receiver(200, 503, 429, 200) as port:
        done = send(sender, port, bodies_file(tmp_path / "bodies", [b"a", b"b", b"c"]))
        assert done.stdout.split()[:2] == ["3", "2"], done.stderr
        assert list(Receiver.taken.values()) == [[b"a", b"b", b"c"]]


def test_a_refusal_ends_it_with_the_servers_words(sender: Path, tmp_path: Path) -> None:
    """What a server refuses is no throughput: exit code 1 and the answer on stderr."""
    with receiver(204, 400) as port:
        done = send(sender, port, bodies_file(tmp_path / "bodies", [b"a", b"b", b"c"]))
    assert done.returncode == 1
    assert "HTTP/1.1 400" in done.stderr
    assert "reason" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\x01\x00", "the file ends within a size"), (b"\x05\x00\x00\x00abc", "the file ends within a body")],
)
def test_a_file_that_was_cut_is_told(sender: Path, tmp_path: Path, content: bytes, said: str) -> None:
    """A file that ends too early is an error, not a shorter load."""
    (tmp_path / "cut").write_bytes(content)
    with receiver() as port:
        done = send(sender, port, tmp_path / "cut")
    assert (done.returncode, said in done.stderr) == (1, True)
