"""Chats: Slack, Discord, Mattermost, Microsoft Teams, Rocket.Chat, Telegram, Webex, WeChat.

Source: prometheus.io, "Alertmanager configuration", sections "Receiver integration settings".
"""

from __future__ import annotations

from dataclasses import replace

from mirante.server.http_client.model import Authorization, Secret
from mirante.server.notify import config_values as read
from mirante.server.notify.options import Entry, Kind, Option, many, optional, secret, subsection, switch, template
from mirante.server.yaml_reader import Value

_SLACK_BOT_URL = "https://slack.com/api/chat.postMessage"
_WEBHOOK_URL = secret("webhook_url", read.secret_url, required=True)
_TIMEOUT = Option("timeout", read.go_duration, 0)
_FIELDS = many(
    subsection(
        Option("title", read.template, required=True),
        Option("value", read.template, required=True),
        optional("short", read.flag),
    )
)
_CONFIRM = subsection(
    Option("text", read.template, required=True), template("title"), template("ok_text"), template("dismiss_text")
)
_ACTION = subsection(
    Option("type", read.template, required=True),
    Option("text", read.template, required=True),
    template("url"),
    template("style"),
    template("name"),
    template("value"),
    optional("confirm", _CONFIRM),
)


def _slack_action(value: Value) -> dict[str, object]:
    action = _ACTION(value)
    if action["url"]:  # a link has none of a button's keys
        return {**action, "name": "", "value": "", "confirm": None}
    return action if action["name"] else value.fail("name or url must be given")


def _settle_slack(entry: Entry) -> None:
    options, defaults = entry.options, entry.defaults
    own = [key for key in ("api_url", "app_token") if entry.has(key)]
    if len(own) > 1:
        entry.fail("at most one of api_url and app_token may be given")
    authorized = entry.own_http is not None and entry.own_http.authorization is not None
    if not own:
        options["api_url"] = defaults["slack_api_url"]
        options["app_token"] = options["app_token"] if authorized else defaults["slack_app_token"]
    if entry.has("app_token"):
        if authorized:
            entry.fail("app_token and http_config.authorization cannot be given together")
        entry.http = replace(entry.http, authorization=Authorization("Bearer", options["app_token"]))
        options["api_url"] = Secret(options["app_url"])
    if not entry.has("api_url"):
        entry.fail(
            "api_url or app_token must be given, here or as slack_api_url or slack_app_token in the global section"
        )
    for key in ("update_message", "post_updates_to_thread"):
        if options[key] and options["api_url"].text != _SLACK_BOT_URL:
            entry.fail(f"{key} needs the token of a bot: app_token, or {_SLACK_BOT_URL} as api_url")


SLACK = Kind(
    "slack",
    (
        secret("api_url", read.secret_url),
        secret("app_token"),
        Option("app_url", read.url, inherited="slack_app_url"),
        template("channel"),
        template("username", "slack.default.username"),
        template("color", "slack.default.color"),
        template("title", "slack.default.title"),
        template("title_link", "slack.default.titlelink"),
        template("pretext", "slack.default.pretext"),
        template("text", "slack.default.text"),
        template("message_text"),
        Option("fields", _FIELDS, ()),
        switch("short_fields"),
        template("footer", "slack.default.footer"),
        template("fallback", "slack.default.fallback"),
        template("callback_id", "slack.default.callbackid"),
        template("icon_emoji", "slack.default.iconemoji"),
        template("icon_url", "slack.default.iconurl"),
        template("image_url"),
        template("thumb_url"),
        switch("link_names"),
        Option("mrkdwn_in", read.texts, ()),
        Option("actions", many(_slack_action), ()),
        switch("update_message"),
        switch("post_updates_to_thread"),
        _TIMEOUT,
    ),
    send_resolved=False,
    settle=_settle_slack,
)

DISCORD = Kind(
    "discord",
    (
        _WEBHOOK_URL,
        template("content"),
        template("title", "discord.default.title"),
        template("message", "discord.default.message"),
        template("username"),
        template("avatar_url"),
    ),
)

_ATTACHMENT = (
    template("pretext"),
    template("author_name"),
    template("author_link"),
    template("author_icon"),
    Option("fields", _FIELDS, ()),
    template("thumb_url"),
    template("footer"),
    template("footer_icon"),
    template("image_url"),
)
MATTERMOST = Kind(
    "mattermost",
    (
        secret("webhook_url", read.secret_url, "mattermost_webhook_url", required=True),
        template("channel"),
        template("username", "mattermost.default.username"),
        template("text", "mattermost.default.text"),
        template("fallback", "mattermost.default.fallback"),
        template("color", "mattermost.default.color"),
        template("title", "mattermost.default.title"),
        template("title_link", "mattermost.default.titlelink"),
        *_ATTACHMENT,
        template("icon_url"),
        template("icon_emoji"),
        Option(
            "attachments",
            many(
                subsection(
                    *map(template, ("fallback", "color", "text", "title", "title_link")),
                    *_ATTACHMENT,
                )
            ),
            (),
        ),
        template("type"),
        optional("props", subsection(template("card"))),
        optional(
            "priority",
            subsection(template("priority"), switch("requested_ack"), switch("persistent_notifications")),
        ),
    ),
)

MSTEAMS = Kind(
    "msteams",
    (
        _WEBHOOK_URL,
        template("title", "msteams.default.title"),
        template("summary", "msteams.default.summary"),
        template("text", "msteams.default.text"),
    ),
)
MSTEAMSV2 = Kind(
    "msteamsv2",
    (_WEBHOOK_URL, template("title", "msteamsv2.default.title"), template("text", "msteamsv2.default.text")),
)

# Go's YAML reader finds the keys of these two by the names of its fields in small letters.
_ROCKETCHAT_FIELD = subsection(optional("short", read.flag), template("title"), template("value"))
_ROCKETCHAT_ACTION = subsection(
    *map(template, ("type", "text", "url", "imageurl", "webviewheightratio", "msg", "msgprocessingtype")),
    switch("iswebview"),
    switch("msginchatwindow"),
)
ROCKETCHAT = Kind(
    "rocketchat",
    (
        Option("api_url", read.url, inherited="rocketchat_api_url"),
        secret("token_id", inherited="rocketchat_token_id", required=True),
        secret("token", inherited="rocketchat_token", required=True),
        template("channel"),
        template("color", '{{ if eq .Status "firing" }}red{{ else }}green{{ end }}'),
        template("title", "rocketchat.default.title"),
        template("title_link", "rocketchat.default.titlelink"),
        template("text", "rocketchat.default.text"),
        Option("fields", many(_ROCKETCHAT_FIELD), ()),
        switch("short_fields"),
        template("emoji", "rocketchat.default.emoji"),
        template("icon_url", "rocketchat.default.iconurl"),
        template("image_url"),
        template("thumb_url"),
        switch("link_names"),
        Option("actions", many(_ROCKETCHAT_ACTION), ()),
    ),
    send_resolved=False,
)


def _settle_telegram(entry: Entry) -> None:
    given = [key for key in ("chat_id", "chat_id_file") if entry.options[key]]
    if len(given) != 1:
        entry.fail("exactly one of chat_id and chat_id_file must be given")


TELEGRAM = Kind(
    "telegram",
    (
        Option("api_url", read.url, inherited="telegram_api_url"),
        secret("bot_token", inherited="telegram_bot_token", required=True),
        Option("chat_id", read.integer, 0),
        optional("chat_id_file", read.path),
        Option("message_thread_id", read.integer, 0),
        template("message", "telegram.default.message"),
        switch("disable_notifications"),
        Option("parse_mode", read.one_of("Markdown", "MarkdownV2", "HTML", blank=""), "HTML"),
        _TIMEOUT,
    ),
    settle=_settle_telegram,
)


def _settle_webex(entry: Entry) -> None:
    shown = entry.own_http.authorization if entry.own_http else None
    if shown is None or shown.type == "Basic":
        entry.fail("http_config.authorization must be given: Webex asks for the token of a bot")


WEBEX = Kind(
    "webex",
    (
        Option("api_url", read.url, inherited="webex_api_url"),
        template("message", "webex.default.message"),
        Option("room_id", read.template, required=True),
    ),
    settle=_settle_webex,
)

WECHAT = Kind(
    "wechat",
    (
        secret("api_secret", inherited="wechat_api_secret", required=True),
        Option("corp_id", read.template, inherited="wechat_api_corp_id", required=True),
        template("message", "wechat.default.message"),
        Option("api_url", read.folder_url, inherited="wechat_api_url"),
        template("to_user", "wechat.default.to_user"),
        template("to_party", "wechat.default.to_party"),
        template("to_tag", "wechat.default.to_tag"),
        template("agent_id", "wechat.default.agent_id"),
        Option("message_type", read.one_of("text", "markdown", blank="text"), "text"),
    ),
    send_resolved=False,
)
