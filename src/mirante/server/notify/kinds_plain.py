"""What is sent as it is: webhooks, e-mail, SNS, and what Alertmanager does not have: text messages and apprise.

Source: prometheus.io, "Alertmanager configuration", sections "Receiver integration settings".
"""

from __future__ import annotations

from mirante.server.http_client.model import Secret
from mirante.server.notify import config_values as read
from mirante.server.notify.options import NOTHING, Entry, Kind, Option, optional, secret, subsection, switch, template

WEBHOOK = Kind(
    "webhook",
    (
        secret("url", read.secret_url_template, required=True),
        Option("max_alerts", read.count, 0),
        Option("timeout", read.go_duration, 0),
        optional("payload", read.tree),
    ),
)

_THREADING = subsection(switch("enabled"), Option("thread_by_date", read.text))


def _settle_email(entry: Entry) -> None:
    options = entry.options
    headers: dict[str, str] = {}
    for name, text in options["headers"].items():
        canonical = "-".join(part.capitalize() for part in name.split("-"))
        if canonical in headers:
            entry.fail(f'header "{canonical}" is given twice')
        headers[canonical] = text
    if options["threading"]["enabled"]:
        if found := {"References", "In-Reply-To"} & headers.keys():
            entry.fail(f"threading.enabled and the header {min(found)} cannot be given together")
        if options["threading"]["thread_by_date"] not in {"none", "daily"}:
            entry.fail("threading.thread_by_date must be none or daily")
    options["headers"] = headers


EMAIL = Kind(
    "email",
    (
        Option("to", read.template, required=True),
        Option("from", read.template, inherited="smtp_from", required=True),
        Option("smarthost", read.host_and_port, inherited="smtp_smarthost", required=True),
        Option("hello", inherited="smtp_hello"),
        Option("auth_username", inherited="smtp_auth_username"),
        secret("auth_password", inherited="smtp_auth_password"),
        secret("auth_secret", inherited="smtp_auth_secret"),
        Option("auth_identity", inherited="smtp_auth_identity"),
        Option("headers", read.pairs, {}),
        template("html", "email.default.html"),
        template("text"),
        Option("require_tls", read.flag, None, inherited="smtp_require_tls"),
        Option("tls_config", read.tls_config, None, inherited="smtp_tls_config"),
        Option("force_implicit_tls", read.flag, None, inherited="smtp_force_implicit_tls"),
        Option("threading", _THREADING, {"enabled": False, "thread_by_date": ""}),
    ),
    send_resolved=False,
    over_http=False,
    settle=_settle_email,
)

_SIGV4_TEXTS = ("region", "access_key", "profile", "role_arn", "external_id")
_SIGV4 = subsection(
    *map(Option, _SIGV4_TEXTS),
    Option("secret_key", lambda value: Secret(read.text(value)), NOTHING),
    switch("use_fips_sts_endpoint"),
)


def _settle_sns(entry: Entry) -> None:
    if sum(map(entry.has, ("topic_arn", "phone_number", "target_arn"))) % 2 == 0:
        entry.fail("exactly one of topic_arn, phone_number and target_arn must be given")
    sigv4 = entry.options["sigv4"]
    if bool(sigv4["access_key"]) is (sigv4["secret_key"] == NOTHING):
        entry.fail("sigv4.access_key and sigv4.secret_key must be given together")


SNS = Kind(
    "sns",
    (
        template("api_url"),
        Option("sigv4", _SIGV4, {**dict.fromkeys(_SIGV4_TEXTS, ""), "secret_key": NOTHING}),
        template("topic_arn"),
        template("phone_number"),
        template("target_arn"),
        template("subject", "sns.default.subject"),
        template("message", "sns.default.message"),
        Option("attributes", read.pairs, {}),
        switch("use_aws_http_client"),
    ),
    settle=_settle_sns,
)


def _settle_sms(entry: Entry) -> None:
    given = [name for name in ("account_sid", "auth_token", "from", "to") if entry.has(name)]
    if entry.has("url") and given:
        entry.fail(f"url says all that {given[0]} does; give one of the two")
    missing = [name for name in ("account_sid", "auth_token", "from", "to") if name not in given]
    if missing and not entry.has("url"):
        entry.fail(f"{missing[0]} must be given; or url, an address of one of apprise's SMS services")


SMS = Kind(
    "sms",
    (
        Option("provider", read.one_of("twilio", blank="twilio"), "twilio"),
        Option("account_sid"),
        secret("auth_token"),
        Option("from"),
        Option("to", read.texts, ()),
        template("text", "sms.default.text"),
        Option("api_url", read.url, "https://api.twilio.com"),
        secret("url"),
    ),
    settle=_settle_sms,
)


def _settle_apprise(entry: Entry) -> None:
    """Make one list of both keys."""
    url = (entry.options["url"],) if entry.has("url") else ()
    del entry.options["url"]
    entry.options["urls"] += url
    if not entry.has("urls"):
        entry.fail("url, url_file or urls must be given: where apprise sends to")


APPRISE = Kind(
    "apprise",
    (
        secret("url"),
        Option("urls", lambda value: tuple(map(Secret, read.texts(value))), ()),
        template("title", "apprise.default.title"),
        template("body", "apprise.default.body"),
        Option("format", read.one_of("text", "markdown", "html", blank="text"), "text"),
    ),
    over_http=False,
    settle=_settle_apprise,
)
