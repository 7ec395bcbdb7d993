"""E-mail, against a real SMTP server: what is written, how one logs in, and who is refused."""

from __future__ import annotations

import asyncio
import email.policy
import hmac
import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mirante.errors import DeliveryError
from mirante.server.http_client.model import Secret, Tls
from mirante.server.notify.channels import Message
from tests.peers import free_port, program
from tests.server.notify.receivers import FIRING, NOW_MS, RESOLVED, attempt, message, told


@dataclass
class Mailbox:
    """Takes mail.

    Attributes:
        mails: sender, recipients and content of each.
        logins: mechanism, user and password of each login.
        refused: answers to recipients that are not simply taken.
        answer: to the content.
    """

    mails: list[tuple[str, list[str], EmailMessage]] = field(default_factory=list)
    logins: list[tuple[str, str, str]] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    answer: str = "250 taken"

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: Sequence[str]) -> str:  # noqa: N802
        """Take or refuse a recipient."""
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 fine"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's names
        """Take a mail."""
        content = envelope.content
        assert isinstance(content, bytes)
        parsed = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append((str(envelope.mail_from), list(map(str, envelope.rcpt_tos)), parsed))
        return self.answer

    def authenticate(self, _: SMTP, __: Session, ___: Envelope, mechanism: str, data: object) -> AuthResult:
        """Let in whoever has the password ``pw``."""
        assert isinstance(data, LoginPassword)
        self.logins.append((mechanism, data.login.decode(), data.password.decode()))
        return AuthResult(success=data.password == b"pw", handled=False)

    async def auth_CRAM__MD5(self, server: SMTP, _: Sequence[str]) -> AuthResult:  # noqa: N802 - aiosmtpd's names
        """Let in whoever has the secret ``s3``."""
        got = await server.challenge_auth(b"<1@here>")
        assert isinstance(got, bytes)
        user, digest = got.decode().split()
        self.logins.append(("CRAM-MD5", user, ""))
        return AuthResult(success=digest == hmac.new(b"s3", b"<1@here>", "md5").hexdigest())


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for ``mail.example`` and its key."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=mail.example", "-addext", "subjectAltName=DNS:mail.example"]
    made = [program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*made, *subject, *files], check=True, capture_output=True)
    return folder


def options(**changes: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "to": "ana@example.org",
        "from": "Mirante <alerts@mirante.example>",
        "require_tls": False,
        "html": "<p>{{ .GroupLabels.alertname }}</p>",
        "text": "",
        "headers": {"subject": "[{{ .Status }}]\n{{ .GroupLabels.alertname }}"},
        **changes,
    }


def mail(
    mailbox: Mailbox, *messages: Message, folder: Path | None = None, implicit: bool = False, **keys: Any
) -> list[str]:
    """Send to a server with that mailbox, which speaks TLS when it has a certificate."""

    async def main() -> list[str]:
        context = None
        if folder is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        loop = asyncio.get_running_loop()

        def protocol() -> SMTP:
            starttls = None if implicit else context
            return SMTP(mailbox, tls_context=starttls, loop=loop, enable_SMTPUTF8=True, **keys)

        server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=context if implicit else None)
        async with server:
            port = server.sockets[0].getsockname()[1]
            answers = []
            for one in messages:
                here = replace(one.integration, options={**one.options, "smarthost": f"127.0.0.1:{port}"})
                answers.append(await attempt("email", replace(one, integration=here)))
        return answers

    return asyncio.run(main())


def test_a_mail_has_text_and_html() -> None:
    """In one line each of the headers, and with an id that is the same for every attempt."""
    box = Mailbox()
    both = message(options(text="{{ len .Alerts }} é", to="a@x.org, B <b@x.org>"))
    assert mail(box, both, both) == ["250 taken", "250 taken"]
    (sender, recipients, first), (_, _, second) = box.mails
    assert (sender, recipients) == ("alerts@mirante.example", ["a@x.org", "b@x.org"])
    assert first["From"] == "Mirante <alerts@mirante.example>"
    assert first["To"] == "a@x.org, b@x.org"
    assert first["Subject"] == "[firing] DiskFull"
    assert first["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    assert first["Message-Id"] == second["Message-Id"] == "<01hf7@mirante.example>"
    text, page = first.iter_parts()
    assert first.get_content_type() == "multipart/alternative"
    assert (text.get_content_type(), text.get_content().strip()) == ("text/plain", "2 é")
    assert (page.get_content_type(), page.get_content().strip()) == ("text/html", "<p>DiskFull</p>")


def test_mails_of_a_group_are_one_conversation() -> None:
    """If so configured they refer to one id, which may be that of a day."""
    box = Mailbox()
    always, daily = ({"enabled": True, "thread_by_date": how} for how in ("none", "daily"))
    tomorrow = told(id="3", created_at=NOW_MS + 86_400_000)
    mail(
        box,
        message(options(threading=always)),
        message(options(threading=always), told(RESOLVED, id="2", created_at=NOW_MS + 86_400_000)),
        message(options(threading=daily)),
        message(options(threading=daily), tomorrow),
        message(options()),
    )
    first, second, today, next_day, apart = (one for _, _, one in box.mails)
    assert first["References"] == first["In-Reply-To"] == second["References"]
    assert len({one["References"] for one in (first, today, next_day)}) == 3
    assert apart["References"] is None
    assert first["Message-Id"] != second["Message-Id"]


def test_a_mail_of_one_part() -> None:
    """HTML alone, or text alone; configured headers win."""
    box = Mailbox()
    headers = {"To": "ops <ops@x.org>", "message-id": "<mine@x>", "subject": "s"}
    page = message(options(), told(reason="acknowledged", author="<ana>"))
    mail(box, page, message(options(html="", text="plain", headers=headers)), message(options(html="", text="")))
    html, text, empty = (one for _, _, one in box.mails)
    assert html.get_content_type() == "text/html"
    assert html.get_content().split() == ["<p>Acknowledged", "by", "&lt;ana&gt;.</p>", "<p>DiskFull</p>"]
    assert text.get_content().strip() == "plain"
    assert (text["To"], text["Message-Id"]) == ("ops <ops@x.org>", "<mine@x>")
    assert empty.get_content().strip() == ""


def test_the_default_templates_make_a_mail() -> None:
    """Alertmanager's names of them are what a configuration has by default."""
    box = Mailbox()
    mail(box, message(options(html='{{ template "email.default.html" . }}', headers={}), told(FIRING)))
    [(_, _, got)] = box.mails
    assert got["Subject"] == "[FIRING:2] DiskFull (critical)"
    assert "db2" in got.get_content()


@pytest.mark.parametrize(
    ("keys", "secrets", "login"),
    [
        ({}, {"auth_password": Secret("pw")}, ("LOGIN", "me", "pw")),
        (
            {"auth_exclude_mechanism": ["LOGIN"]},
            {"auth_password": Secret("pw"), "auth_identity": "x"},
            ("PLAIN", "me", "pw"),
        ),
        ({}, {"auth_secret": Secret("s3")}, ("CRAM-MD5", "me", "")),
    ],
)
def test_one_logs_in_by_what_the_server_offers(
    tls: Path, keys: dict[str, Any], secrets: dict[str, Any], login: tuple[str, str, str]
) -> None:
    """After STARTTLS, with the certificate's own name, by the first mechanism for which there is a secret."""
    box = Mailbox()
    trust = Tls(ca_file=tls / "cert.pem", server_name="mail.example")
    safe = options(require_tls=True, tls_config=trust, auth_username="me", hello="me.example", **secrets)
    mail(box, message(safe), folder=tls, authenticator=box.authenticate, auth_required=True, **keys)
    assert box.logins == [login]
    assert len(box.mails) == 1


def test_tls_may_begin_at_once(tls: Path) -> None:
    """As on port 465."""
    box = Mailbox()
    trust = Tls(ca_file=tls / "cert.pem", server_name="mail.example")
    safe = options(require_tls=True, tls_config=trust, force_implicit_tls=True)
    mail(box, message(safe), folder=tls, implicit=True)
    assert len(box.mails) == 1


@pytest.mark.parametrize(
    ("secrets", "permanent", "said"),
    [
        ({"auth_password": Secret("no")}, True, "SMTP answered 535"),
        ({}, True, "no secret for any of the server's ways to log in: "),
        ({"auth_password": Secret(file=Path("/nonexistent"))}, False, "auth_password cannot be read"),
    ],
)
def test_a_wrong_login(tls: Path, secrets: dict[str, Any], permanent: bool, said: str) -> None:
    """Is told, and no mail is sent without one."""
    box = Mailbox()
    safe = options(require_tls=True, tls_config=Tls(insecure_skip_verify=True), auth_username="me", **secrets)
    with pytest.raises(DeliveryError, match=said) as failure:
        mail(box, message(safe), folder=tls, authenticator=box.authenticate)
    assert failure.value.permanent is permanent
    assert box.mails == []


def test_a_certificate_must_be_the_servers(tls: Path) -> None:
    """Its name counts."""
    safe = options(require_tls=True, tls_config=Tls(ca_file=tls / "cert.pem"))
    with pytest.raises(DeliveryError, match="certificate verify failed") as failure:
        mail(Mailbox(), message(safe), folder=tls)
    assert not failure.value.permanent


def test_a_server_must_offer_starttls() -> None:
    """Unless ``require_tls`` is false."""
    with pytest.raises(DeliveryError, match="offers no STARTTLS"):
        mail(Mailbox(), message(options(require_tls=True)))


@pytest.mark.parametrize(
    ("refused", "answer", "permanent", "said"),
    [
        (
            {"a@x.org": "550 no such user", "b@x.org": "551 neither"},
            "250 ok",
            True,
            "a@x.org: 550 no such user; b@x.org",
        ),
        ({"b@x.org": "450 later"}, "250 ok", False, "450 later"),
        ({}, "554 spam", True, "554 spam"),
        ({}, "451 busy", False, "451 busy"),
    ],
)
def test_a_server_refuses(refused: dict[str, str], answer: str, permanent: bool, said: str) -> None:
    """With 5yz for good; one who cannot be told now holds up all."""
    box = Mailbox(refused=refused, answer=answer)
    with pytest.raises(DeliveryError, match=said) as failure:
        mail(box, message(options(to="a@x.org, b@x.org")))
    assert failure.value.permanent is permanent


def test_one_who_is_unknown_does_not_hold_up_the_others() -> None:
    """The answer names who was not told."""
    box = Mailbox(refused={"a@x.org": "550 no such user"})
    assert mail(box, message(options(to="a@x.org, b@x.org"))) == ["250 taken; refused a@x.org: 550 no such user"]
    assert box.mails[0][1] == ["b@x.org"]


def test_addresses_in_any_alphabet() -> None:
    """By SMTPUTF8."""
    box = Mailbox()
    mail(box, message(options(to="jürgen@x.org")))
    assert box.mails[0][1] == ["jürgen@x.org"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"smarthost": "mail.example"}, "smarthost is no HOST:PORT"),
        ({"smarthost": "mail.example:25", "to": "nobody"}, "one address in from and at least one in to"),
        ({"smarthost": "mail.example:25", "from": "a@x.org, b@x.org"}, "one address in from"),
    ],
)
def test_what_cannot_be_sent(changes: dict[str, Any], said: str) -> None:
    """Is refused for good before anybody is connected to."""
    with pytest.raises(DeliveryError, match=said) as failure:
        asyncio.run(attempt("email", message(options(**changes))))
    assert failure.value.permanent


def test_a_server_that_is_not_there() -> None:
    """Is tried again."""
    with pytest.raises(DeliveryError, match="connection refused") as failure:
        asyncio.run(attempt("email", message(options(smarthost=f"127.0.0.1:{free_port()}"))))
    assert not failure.value.permanent


def test_a_server_that_leaves() -> None:
    """In the middle of the conversation."""

    async def main() -> None:
        async def leave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 here\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(leave, "127.0.0.1", 0)
        async with server:
            host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await attempt("email", message(options(smarthost=host)))

    with pytest.raises(DeliveryError, match="SMTP|reset") as failure:
        asyncio.run(main())
    assert not failure.value.permanent
