"""``email_configs``: a message by SMTP, as text and as HTML.

Source: RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 5322 (message format, section 3.6.4 on threads).
"""

from __future__ import annotations

import html
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as POLICY
from email.utils import format_datetime, getaddresses
from functools import partial
from typing import NoReturn

from mirante.errors import DeliveryError
from mirante.server.http_client.connection import tls_context
from mirante.server.http_client.failure import explain
from mirante.server.http_client.model import Tls
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message
from mirante.server.notify.channels.thread import in_thread

_IMPLICIT_TLS = 465
_TIMEOUT_SECONDS = 20.0  # of each step of the conversation
_SUBJECT = '{{ template "email.default.subject" . }}'


@dataclass(frozen=True, slots=True)
class _Server:
    """With whom to speak, and as whom."""

    host: str
    port: int
    hello: str | None
    tls: Tls
    require_tls: bool
    implicit_tls: bool
    username: str
    password: str
    secret: str
    identity: str


async def send(message: Message, caller: Caller) -> str:
    """Hand the message over to the server.

    Raises:
        DeliveryError: the server did not take it.
    """
    server = _server(message)
    recipients = _addresses(message, "to")
    sender = _addresses(message, "from")
    if len(sender) != 1 or not recipients:
        raise DeliveryError("email needs one address in from and at least one in to", permanent=True)
    whole = compose(message, recipients)
    return await in_thread(partial(_deliver, server, sender[0], recipients, whole))


def _addresses(message: Message, key: str) -> list[str]:
    return [address for _, address in getaddresses([message.text(key)]) if "@" in address]


def _server(message: Message) -> _Server:
    host, _, port = str(message.get("smarthost")).rpartition(":")
    if not host or not port.isdecimal():
        raise DeliveryError("smarthost is no HOST:PORT: give it in the receiver or as smtp_smarthost", permanent=True)
    forced = message.get("force_implicit_tls", None)
    return _Server(
        host=host.strip("[]"),
        port=int(port),
        hello=str(message.get("hello")) or None,
        tls=message.get("tls_config", Tls()),
        require_tls=bool(message.get("require_tls", True)),
        implicit_tls=int(port) == _IMPLICIT_TLS if forced is None else bool(forced),
        username=str(message.get("auth_username")),
        password=message.secret("auth_password"),
        secret=message.secret("auth_secret"),
        identity=str(message.get("auth_identity")),
    )


def compose(message: Message, recipients: Sequence[str]) -> bytes:
    """The message; its id is the same for every attempt."""
    configured = {key.title(): str(text) for key, text in message.get("headers", {}).items()}
    headers = {"From": str(message.get("from")), "To": ", ".join(recipients), "Subject": _SUBJECT, **configured}
    domain = headers["From"].rpartition("@")[2].strip("> ") or "mirante"
    mail = EmailMessage(policy=POLICY.clone(utf8=not _ascii(recipients)))
    for name, template in headers.items():
        mail[name] = " ".join(message.render(template).split())  # a header is one line
    if "Message-Id" not in configured:
        mail["Message-Id"] = f"<{message.notification.id}@{domain}>"
    if root := _thread(message):
        mail["References"] = mail["In-Reply-To"] = f"<{root}@{domain}>"
    mail["Date"] = format_datetime(datetime.fromtimestamp(message.notification.created_at // 1000, UTC))
    mail["Auto-Submitted"] = "auto-generated"
    _fill(mail, message)
    return mail.as_bytes()


def _thread(message: Message) -> str:
    """An id that no mail has, to which all mails about the group answer; those of a day, if so configured."""
    threading: Mapping[str, object] = message.get("threading", {})
    if not threading.get("enabled"):
        return ""
    day = datetime.fromtimestamp(message.notification.created_at // 1000, UTC).date().isoformat()
    return f"{message.key}-{day}" if threading.get("thread_by_date") == "daily" else message.key


def _fill(mail: EmailMessage, message: Message) -> None:
    """The parts; HTML last, as the one that is preferred (RFC 2046, section 5.1.4)."""
    page = message.html("html") if message.get("html") else ""
    text = message.with_notice(message.text("text")) if message.get("text") or not page else ""
    if text or not page:
        mail.set_content(text)
    if page:
        notice = f"<p>{html.escape(message.notice)}</p>\n" if message.notice else ""
        add = mail.add_alternative if text else mail.set_content
        add(notice + page, subtype="html")


def _deliver(server: _Server, sender: str, recipients: Sequence[str], mail: bytes) -> str:
    """In a thread: one conversation with the server."""
    try:
        with _connect(server) as client:
            _log_in(client, server)
            return _hand_over(client, sender, recipients, mail)
    except smtplib.SMTPResponseException as error:
        _refused(error.smtp_code, error.smtp_error)
    except smtplib.SMTPException as error:
        raise DeliveryError(f"SMTP: {error}") from error
    except OSError as error:
        raise DeliveryError(f"{server.host}:{server.port}: {explain(error)}") from error


def _connect(server: _Server) -> smtplib.SMTP:
    context = tls_context(server.tls) if server.implicit_tls or server.require_tls else None
    client = (
        smtplib.SMTP_SSL(local_hostname=server.hello, timeout=_TIMEOUT_SECONDS, context=context)
        if server.implicit_tls
        else smtplib.SMTP(local_hostname=server.hello, timeout=_TIMEOUT_SECONDS)
    )
    # smtplib knows no other way to expect a certificate of another name than the one that is connected to.
    client._host = server.tls.server_name or server.host  # type: ignore[attr-defined] # noqa: SLF001
    try:
        client.connect(server.host, server.port)
        client.ehlo_or_helo_if_needed()
        if server.require_tls and not server.implicit_tls:
            _start_tls(client, server, context)
    except BaseException:
        client.close()
        raise
    return client


def _start_tls(client: smtplib.SMTP, server: _Server, context: ssl.SSLContext | None) -> None:
    if not client.has_extn("starttls"):
        raise DeliveryError(f"{server.host}:{server.port} offers no STARTTLS, which require_tls asks for")
    client.starttls(context=context)
    client.ehlo()


def _log_in(client: smtplib.SMTP, server: _Server) -> None:
    """By the first of the server's mechanisms for which there is a secret, as Alertmanager does."""
    if not server.username or not client.has_extn("auth"):
        return
    offered = client.esmtp_features["auth"].split()
    client.user, client.password = server.username, server.secret or server.password
    plain = f"{server.identity}\0{server.username}\0{server.password}"
    for mechanism in offered:
        if mechanism == "CRAM-MD5" and server.secret:
            client.auth(mechanism, client.auth_cram_md5)
        elif mechanism == "PLAIN" and server.password:
            client.auth(mechanism, lambda _=None: plain)
        elif mechanism == "LOGIN" and server.password:
            client.password = server.password
            client.auth(mechanism, client.auth_login)
        else:
            continue
        return
    raise DeliveryError(f"no secret for any of the server's ways to log in: {' '.join(offered)}", permanent=True)


def _hand_over(client: smtplib.SMTP, sender: str, recipients: Sequence[str], mail: bytes) -> str:
    """To those whom the server takes; one whom it cannot take now holds up all, so that none is told twice."""
    _expect(client.mail(sender, [] if _ascii([sender, *recipients]) else ["SMTPUTF8", "BODY=8BITMIME"]))
    refused = []
    for recipient in recipients:
        code, said = client.rcpt(recipient)
        if code >= 500:
            refused.append(f"{recipient}: {code} {_line(said)}")
        else:
            _expect((code, said))
    if len(refused) == len(recipients):
        raise DeliveryError(f"refused: {'; '.join(refused)}", permanent=True)
    code, said = client.data(mail)
    _expect((code, said))
    return "; ".join([f"{code} {_line(said)}", *(f"refused {one}" for one in refused)])


def _ascii(addresses: Sequence[str]) -> bool:
    """Other addresses need the extension SMTPUTF8 (RFC 6531)."""
    return all(address.isascii() for address in addresses)


def _expect(answer: tuple[int, bytes]) -> None:
    if not 200 <= answer[0] < 300:
        _refused(*answer)


def _refused(code: int, said: bytes | str) -> NoReturn:
    """5yz is for good, 4yz for now (RFC 5321, section 4.2.1); a connection that was cut has a code below."""
    raise DeliveryError(f"SMTP answered {code} {_line(said)}", permanent=code >= 500)


def _line(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return " ".join(text.split())
