"""The ``global`` section: what entries of receivers inherit.

Source: prometheus.io, "Alertmanager configuration", section "File layout and global settings".
"""

from __future__ import annotations

from typing import Any

from mirante.server.http_client.model import PLAIN, Tls
from mirante.server.notify import config_values as read
from mirante.server.notify.options import NOTHING, Option, optional, secret, switch, take_options
from mirante.server.yaml_reader import Section, Value

GLOBAL = (
    Option("resolve_timeout", Value.duration, 300_000),
    Option("http_config", read.http_config, PLAIN),
    Option("smtp_from"),
    Option("smtp_smarthost", read.host_and_port),
    Option("smtp_hello", default="localhost"),
    Option("smtp_auth_username"),
    secret("smtp_auth_password"),
    secret("smtp_auth_secret"),
    Option("smtp_auth_identity"),
    switch("smtp_require_tls", default=True),
    Option("smtp_tls_config", read.tls_config, Tls()),
    optional("smtp_force_implicit_tls", read.flag),
    secret("slack_api_url", read.secret_url),
    secret("slack_app_token"),
    Option("slack_app_url", read.url, "https://slack.com/api/chat.postMessage"),
    Option("pagerduty_url", read.url, "https://events.pagerduty.com/v2/enqueue"),
    Option("opsgenie_api_url", read.folder_url, "https://api.opsgenie.com/"),
    secret("opsgenie_api_key"),
    Option("wechat_api_url", read.folder_url, "https://qyapi.weixin.qq.com/cgi-bin/"),
    secret("wechat_api_secret"),
    Option("wechat_api_corp_id"),
    Option("victorops_api_url", read.folder_url, "https://alert.victorops.com/integrations/generic/20131114/alert/"),
    secret("victorops_api_key"),
    Option("telegram_api_url", read.url, "https://api.telegram.org"),
    secret("telegram_bot_token"),
    Option("webex_api_url", read.url, "https://webexapis.com/v1/messages"),
    Option("jira_api_url", read.url),
    Option("rocketchat_api_url", read.url, "https://open.rocket.chat/"),
    secret("rocketchat_token"),
    secret("rocketchat_token_id"),
    secret("mattermost_webhook_url", read.secret_url),
)
DEFAULTS: dict[str, Any] = {option.name: option.default for option in GLOBAL}


def read_global(value: Value) -> dict[str, Any]:
    """Every key of the section, with its default where it is not given."""
    section: Section = value.section()
    found = take_options(GLOBAL, section)
    section.finish()
    both = NOTHING not in (found["slack_app_token"], found["slack_api_url"])
    # That the two agree is how people sent with a bot's token before there was a key for it.
    if both and found["slack_api_url"].text != found["slack_app_url"]:
        value.fail("at most one of slack_app_token and slack_api_url may be given")
    return found
