"""OTLP over TLS, with the certificates that the settings name."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

import mirante
from mirante._core.guard import REPORTER
from mirante.config import SdkSettings, resolve
from mirante.errors import DeliveryError
from mirante.exporters.http import Tls
from mirante.exporters.otlp_sender import OtlpSender
from mirante.metrics import Registry
from mirante.tracing import Tracer
from tests.peers import program


class Receiver(NamedTuple):
    """Takes requests of those who show its certificate.

    Attributes:
        url: base address.
        certificate: file of the certificate, its own and the one that it asks for.
        key: file of its key.
        paths: of the requests that came.
    """

    url: str
    certificate: Path
    key: Path
    paths: list[str]


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """On loopback."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    make = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    about = ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run([*make, *about, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    context.load_cert_chain(certificate, key)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Receiver(f"https://127.0.0.1:{server.server_port}", certificate, key, paths)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_receiver_that_nobody_vouches_for_is_not_trusted(receiver: Receiver) -> None:
    """And the data may be sent again, when somebody has put it right."""
    sender = OtlpSender(f"{receiver.url}/v1/traces")
    with pytest.raises(DeliveryError, match="cannot be reached") as refused:
        sender(b"", 20.0)
    assert not refused.value.permanent


def test_all_signals_are_sent_with_the_certificates_of_the_settings(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of OpenTelemetry's variables."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(receiver.certificate))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", str(receiver.certificate))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", str(receiver.key))
    mirante.configure(endpoint=receiver.url, registry=Registry(), log_stream="none", integrations="none")
    with Tracer().start_span("sell"):
        pass
    assert mirante.flush(60)
    mirante.disable()
    assert {"/v1/metrics", "/v1/traces"} <= set(receiver.paths)


def test_without_a_client_certificate_such_a_receiver_takes_nothing(receiver: Receiver) -> None:
    """It is told as any receiver that cannot be reached."""
    sender = OtlpSender(f"{receiver.url}/v1/traces", tls=Tls(receiver.certificate))
    with pytest.raises(DeliveryError):
        sender(b"", 20.0)


def test_another_protocol_is_told_and_ignored() -> None:
    """What OpenTelemetry's variable asks for is not spoken here; in code it would be an error."""
    told = REPORTER.counts.get("OTEL_EXPORTER_OTLP_PROTOCOL", 0)
    settings = resolve(SdkSettings, environ={"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert settings.otlp_protocol == "http/protobuf"
    assert REPORTER.counts["OTEL_EXPORTER_OTLP_PROTOCOL"] == told + 1
