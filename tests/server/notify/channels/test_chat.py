"""Chats: Slack, Teams, Discord, Telegram, Webex, Rocket.Chat and WeChat, with the bodies that their makers document."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mirante.errors import DeliveryError
from mirante.server.http_client.model import PLAIN, Authorization, HttpClient, Secret
from mirante.server.notify.channels import SENDERS
from mirante.server.notify.channels.caller import Caller
from tests.server.notify.receivers import FIRING, RESOLVED, Receiver, Reply, alert, message, receiving, send, told

TITLE = "[{{ .Status }}] {{ .GroupLabels.alertname }}"
JSON = {"Content-Type": "application/json"}
RUNBOOK = "https://wiki.example/disk"


def slack_options(receiver: Receiver, **options: Any) -> dict[str, Any]:
    """What a configuration has, with the texts that are empty by default."""
    empty = dict.fromkeys(("text", "pretext", "fallback", "callback_id", "footer", "title_link", "icon_url"), "")
    return {
        **empty,
        "api_url": Secret(f"{receiver.url}/services/T0/B0/x"),
        "title": TITLE,
        "color": "danger",
        **options,
    }


def test_slack_gets_an_attachment() -> None:
    """To an incoming webhook; fields are short where they or the whole say so, buttons open pages or ask back."""
    with receiving() as slack:
        options = slack_options(
            slack,
            channel="#{{ .CommonLabels.severity }}",
            username="mirante",
            icon_emoji=":bell:",
            link_names=True,
            text="{{ len .Alerts.Firing }} disks",
            fallback="disks",
            title_link="{{ .ExternalURL }}/alerts",
            short_fields=True,
            fields=(
                {"title": "Severity", "value": "{{ .CommonLabels.severity }}"},
                {"title": "a", "value": "b", "short": False},
            ),
            actions=(
                {"type": "button", "text": "Look", "url": "{{ .ExternalURL }}"},
                {
                    "type": "button",
                    "text": "Restart",
                    "name": "restart",
                    "value": "db",
                    "style": "danger",
                    "confirm": {"text": "Really?", "title": "", "ok_text": "Yes", "dismiss_text": "No"},
                },
            ),
        )
        assert send("slack", options) == "200 ok"
        [got] = slack.got
    assert (got.method, got.path) == ("POST", "/services/T0/B0/x")
    assert got.headers["idempotency-key"] == "01hf7"
    assert got.json == {
        "channel": "#critical",
        "username": "mirante",
        "icon_emoji": ":bell:",
        "link_names": True,
        "attachments": [
            {
                "title": "[firing] DiskFull",
                "title_link": "http://mirante.example:8503/alerts",
                "text": "2 disks",
                "fallback": "disks",
                "callback_id": "",
                "footer": "",
                "color": "danger",
                "mrkdwn_in": ["fallback", "pretext", "text"],
                "fields": [
                    {"title": "Severity", "value": "critical", "short": True},
                    {"title": "a", "value": "b", "short": False},
                ],
                "actions": [
                    {"type": "button", "text": "Look", "url": "http://mirante.example:8503"},
                    {
                        "type": "button", "text": "Restart", "name": "restart", "value": "db", "style": "danger",
                        "confirm": {"text": "Really?", "ok_text": "Yes", "dismiss_text": "No"},
                    },
                ],
            }
        ],
    }  # fmt: skip


def test_slack_has_a_button_to_the_runbook() -> None:
    """Of every alert, where the configuration has no buttons of its own; long titles are cut."""
    with receiving() as slack:
        alerts = [alert(annotations={"runbook_url": RUNBOOK}, instance=str(n)) for n in range(2)]
        send("slack", slack_options(slack, title="t" * 2000, mrkdwn_in=("text",), message_text="hello"), told(alerts))
        [attachment] = slack.got[0].json["attachments"]
    assert attachment["actions"] == [{"type": "button", "text": "Runbook", "url": RUNBOOK}]
    assert attachment["title"] == "t" * 1023 + "…"
    assert attachment["mrkdwn_in"] == ["text"]
    assert slack.got[0].json["text"] == "hello"


def test_slack_is_told_who_has_acknowledged() -> None:
    """Before the text, with the comment."""
    with receiving() as slack:
        send("slack", slack_options(slack), told(reason="acknowledged", author="ana", comment="on it"))
    assert slack.got[0].json["attachments"][0]["pretext"] == "Acknowledged by ana: on it"


@pytest.mark.parametrize(
    ("reply", "permanent", "said"),
    [
        (Reply(200, b"no_service"), True, "no_service"),
        (Reply(200, b'{"ok":false,"error":"channel_not_found"}', JSON), True, "channel_not_found"),
        (Reply(200, b'{"ok":false,"error":"ratelimited"}', JSON), False, "ratelimited"),
        (Reply(200, b"<html>", JSON), True, "200 <html>"),
        (Reply(404, b"no_team"), True, "404 no_team"),
        (Reply(503, b"later"), False, "503 later"),
    ],
)  # fmt: skip
def test_slack_refuses_in_several_ways(reply: Reply, permanent: bool, said: str) -> None:
    """By a status, by a text other than "ok", by JSON; what may pass by itself is tried again."""
    with receiving() as slack:
        slack.reply(reply)
        with pytest.raises(DeliveryError, match=said) as failure:
            send("slack", slack_options(slack, channel="#ops"))
    assert failure.value.permanent is permanent


def test_slack_api_takes_a_token() -> None:
    """``api_url`` is ``chat.postMessage`` and the token stands in ``http_config``."""
    with receiving() as slack:
        slack.reply_json({"ok": True, "ts": "1.2"})
        token = HttpClient(authorization=Authorization("Bearer", Secret("xoxb-1")))
        send("slack", slack_options(slack, api_url=f"{slack.url}/api/chat.postMessage"), http=token)
    assert slack.got[0].headers["authorization"] == "Bearer xoxb-1"


@pytest.mark.parametrize("way", ["update_message", "post_updates_to_thread"])
def test_slack_may_change_its_message_or_answer_it(way: str) -> None:
    """While the group fires; the next time that it does it has a message of its own."""

    async def main(slack: Receiver) -> None:
        url = Secret(f"{slack.url}/api/chat.postMessage")
        options = slack_options(slack, api_url=url, channel="#ops", **{way: True})
        caller = Caller(PLAIN)
        for notification in (told(), told(id="2"), told(RESOLVED, id="3"), told(id="4"), told(id="5", group_key="b")):
            await SENDERS["slack"](message(options, notification), caller)
        await caller.close()

    with receiving() as slack:
        slack.reply_json({"ok": True, "ts": "1.2", "channel": "C7"})
        asyncio.run(main(slack))
    verbs = [got.path.removeprefix("/api/chat.") for got in slack.got]
    changed = [(got.json["channel"], got.json.get("ts"), got.json.get("thread_ts")) for got in slack.got]
    first = ("#ops", None, None)
    if way == "update_message":
        assert verbs == ["postMessage", "update", "update", "postMessage", "postMessage"]
        assert changed == [first, ("C7", "1.2", None), ("C7", "1.2", None), first, first]
    else:
        assert set(verbs) == {"postMessage"}
        assert changed == [first, ("#ops", None, "1.2"), ("#ops", None, "1.2"), first, first]


def test_slack_messages_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten: their groups have a new message the next time."""
    monkeypatch.setattr("mirante.server.notify.channels.slack._MOST_KEPT", 2)

    async def main(slack: Receiver) -> int:
        options = slack_options(slack, update_message=True)
        caller = Caller(PLAIN)
        for number in range(5):
            await SENDERS["slack"](message(options, told(group_key=str(number))), caller)
        await caller.close()
        return len(caller.kept)

    with receiving() as slack:
        slack.reply_json({"ok": True, "ts": "1.2", "channel": "C7"})
        assert asyncio.run(main(slack)) == 2


def mattermost_options(receiver: Receiver, **options: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "webhook_url": Secret(receiver.url),
        "text": TITLE,
        "color": "#f00",
        "title": "t",
        "username": "m",
        **options,
    }


def test_mattermost_gets_a_message() -> None:
    """With one attachment of the keys beside it, or with those that are configured."""
    with receiving() as mattermost:
        send("mattermost", mattermost_options(mattermost, fields=({"title": "a", "value": "b", "short": True},)))
        several = ({"text": "{{ .Status }}"}, {"text": "{{ .CommonLabels.nothing }}"})
        send("mattermost", mattermost_options(mattermost, attachments=several, props={"card": "c"}, channel="ops"))
        one, many = (got.json for got in mattermost.got)
    field = {"title": "a", "value": "b", "short": True}
    assert one == {
        "text": "[firing] DiskFull",
        "username": "m",
        "attachments": [{"color": "#f00", "title": "t", "fields": [field]}],
    }
    assert many["attachments"] == [{"text": "firing"}]
    assert (many["props"], many["channel"]) == ({"card": "c"}, "ops")


@pytest.mark.parametrize(
    ("priority", "sent"), [("Urgent", (True, True)), ("important", (True, False)), ("odd", (False, False))]
)
def test_mattermost_has_priorities(priority: str, sent: tuple[bool, bool]) -> None:
    """Of which only the urgent one rings until somebody looks."""
    asked = {"priority": priority, "requested_ack": True, "persistent_notifications": True}
    with receiving() as mattermost:
        send("mattermost", mattermost_options(mattermost, priority=asked))
    assert mattermost.got[0].json["priority"] == {
        "priority": "standard" if priority == "odd" else priority.lower(),
        "requested_ack": sent[0],
        "persistent_notifications": sent[1],
    }


@pytest.mark.parametrize(("alerts", "colour", "style"), [(FIRING, "8C1A1A", "Attention"), (RESOLVED, "2DC72D", "Good")])
def test_teams_gets_cards(alerts: Any, colour: str, style: str) -> None:
    """A message card by the old connector, an adaptive card by a workflow; red while anything fires."""
    options = {"title": TITLE, "summary": "s", "text": "t"}
    with receiving() as teams:
        for kind in ("msteams", "msteamsv2"):
            send(kind, {**options, "webhook_url": Secret(f"{teams.url}/hook")}, told(alerts))
        card, adaptive = (got.json for got in teams.got)
    status = "firing" if alerts is FIRING else "resolved"
    assert card == {
        "@context": "http://schema.org/extensions",
        "@type": "MessageCard",
        "type": "MessageCard",
        "title": f"[{status}] DiskFull",
        "summary": "s",
        "text": "t",
        "themeColor": colour,
    }
    [attachment] = adaptive["attachments"]
    assert (adaptive["type"], attachment["contentUrl"]) == ("message", None)
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"] == {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": [
            {
                "type": "TextBlock", "text": f"[{status}] DiskFull", "weight": "Bolder", "size": "Medium", "wrap": True,
                "style": "heading", "color": style,
            },
            {"type": "TextBlock", "text": "t", "wrap": True},
        ],
        "msteams": {"width": "full"},
    }  # fmt: skip


def test_an_adaptive_card_opens_the_runbook() -> None:
    """By an action."""
    with receiving() as teams:
        send(
            "msteamsv2",
            {"webhook_url": teams.url, "title": "", "text": ""},
            told([alert(annotations={"runbook_url": RUNBOOK})]),
        )
    [action] = teams.got[0].json["attachments"][0]["content"]["actions"]
    assert action == {"type": "Action.OpenUrl", "title": "Runbook", "url": RUNBOOK}


@pytest.mark.parametrize(("alerts", "colour"), [(FIRING, 0x992D22), (RESOLVED, 0x2ECC71)])
def test_discord_gets_an_embed(tmp_path: Path, alerts: Any, colour: int) -> None:
    """Within Discord's limits; the URL may stand in a file."""
    with receiving() as discord:
        discord.reply(Reply(204, b""))
        file = tmp_path / "url"
        file.write_text(f"{discord.url}/api/webhooks/1/x\n")
        options = {"webhook_url_file": file, "title": TITLE, "message": "m" * 5000, "username": "bot", "avatar_url": ""}
        assert send("discord", options, told(alerts)) == "204"
    assert discord.got[0].json == {
        "content": "",
        "username": "bot",
        "embeds": [
            {
                "title": f"[{'firing' if alerts is FIRING else 'resolved'}] DiskFull",
                "description": "m" * 4095 + "…",
                "color": colour,
            }
        ],
    }


def telegram_options(receiver: Receiver, **options: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "api_url": receiver.url, "bot_token": Secret("12:ab"), "chat_id": -100, "message": TITLE, "parse_mode": "HTML",
        **options,
    }  # fmt: skip


def test_telegram_gets_a_message() -> None:
    """In HTML, where what an alert says is escaped; in a thread and without a sound if so configured."""
    with receiving() as telegram:
        telegram.reply_json({"ok": True})
        options = telegram_options(telegram, message_thread_id=7, disable_notifications=True)
        send("telegram", options, told(group_labels={"alertname": "a<b"}))
        [got] = telegram.got
    assert got.path == "/bot12:ab/sendMessage"
    assert got.json == {
        "chat_id": -100,
        "text": "[firing] a&lt;b",
        "parse_mode": "HTML",
        "disable_web_page_preview": True,
        "disable_notification": True,
        "message_thread_id": 7,
    }


def test_telegram_messages_have_a_limit_of_what_is_seen() -> None:
    """Tags do not count; HTML that is too long goes as the beginning of its text, as no tag may be cut."""
    with receiving() as telegram:
        telegram.reply_json({"ok": True})
        for text, mode in (("x" * 5000, ""), ("<b>x</b>" * 4096, "HTML"), ("<b>&amp;</b>" * 4097, "HTML")):
            send("telegram", telegram_options(telegram, message=text, parse_mode=mode, chat_id="@ops"))
        plain, fits, long = (got.json["text"] for got in telegram.got)
    assert plain == "x" * 4095 + "…"
    assert fits == "<b>x</b>" * 4096
    assert long == "&amp;" * 4095 + "…"
    assert telegram.got[0].json["chat_id"] == "@ops"


def test_telegram_notice_is_escaped() -> None:
    """An author's name is not HTML."""
    with receiving() as telegram:
        telegram.reply_json({"ok": True})
        send("telegram", telegram_options(telegram, message="m"), told(reason="acknowledged", author="<ana>"))
    assert telegram.got[0].json["text"] == "Acknowledged by &lt;ana&gt;.\n\nm"


def test_telegram_refuses_with_a_false_ok() -> None:
    """Which a retry does not change."""
    with receiving() as telegram:
        telegram.reply_json({"ok": False, "description": "chat not found"})
        with pytest.raises(DeliveryError, match="chat not found") as failure:
            send("telegram", telegram_options(telegram))
    assert failure.value.permanent


def test_webex_gets_markdown() -> None:
    """Of at most 7439 bytes."""
    with receiving() as webex:
        for text in ("**hello**", "é" * 4000):
            send("webex", {"api_url": webex.url, "room_id": "r{{ len .Alerts }}", "message": text})
        short, long = (got.json for got in webex.got)
    assert short == {"markdown": "**hello**", "roomId": "r2"}
    assert 7430 < len(long["markdown"].encode()) <= 7439
    assert long["markdown"].endswith("é…")


def test_rocketchat_gets_an_attachment() -> None:
    """By ``chat.postMessage`` with a personal token; a false ``success`` is a refusal."""
    options = {
        "token": Secret("t"), "token_id": Secret("u"), "channel": "#ops", "title": TITLE, "text": "x", "color": "red",
        "emoji": ":bell:", "fields": ({"title": "a", "value": "b", "short": None},),
        "actions": ({"text": "Look", "url": "http://x"},),
    }  # fmt: skip
    with receiving() as rocket:
        rocket.reply_json({"success": True})
        send("rocketchat", {**options, "api_url": f"{rocket.url}/"}, told(held_back=3))
        [got] = rocket.got
        rocket.reply_json({"success": False, "error": "error-room-not-found"})
        with pytest.raises(DeliveryError, match="error-room-not-found") as failure:
            send("rocketchat", {**options, "api_url": rocket.url})
    assert failure.value.permanent
    assert got.path == "/api/v1/chat.postMessage"
    assert (got.headers["x-auth-token"], got.headers["x-user-id"]) == ("t", "u")
    assert got.json == {
        "channel": "#ops",
        "emoji": ":bell:",
        "text": "3 notifications before this one were held back (storm_limit).",
        "attachments": [
            {
                "title": "[firing] DiskFull",
                "text": "x",
                "color": "red",
                "fields": [{"title": "a", "value": "b", "short": False}],
                "actions": [{"type": "button", "text": "Look", "url": "http://x"}],
            }
        ],
    }


def wechat_options(receiver: Receiver, **options: Any) -> dict[str, Any]:
    """What a configuration has."""
    return {
        "api_url": f"{receiver.url}/cgi-bin/", "corp_id": "c", "api_secret": Secret("s"), "to_user": "@all",
        "to_party": "", "to_tag": "", "agent_id": "7", "message": TITLE, "message_type": "text", **options,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["text", "markdown"])
def test_wechat_fetches_a_token_first(kind: str) -> None:
    """With the corporation's secret, then sends with it."""
    with receiving() as wechat:
        wechat.reply_json({"access_token": "tok", "errcode": 0})
        send("wechat", wechat_options(wechat, message_type=kind))
        token, got = wechat.got
    assert token.path == "/cgi-bin/gettoken?corpid=c&corpsecret=s"
    assert got.path == "/cgi-bin/message/send?access_token=tok"
    assert got.json == {
        "touser": "@all", "toparty": "", "totag": "", "agentid": "7", "msgtype": kind, "safe": "0",
        kind: {"content": "[firing] DiskFull"},
    }  # fmt: skip


@pytest.mark.parametrize(("code", "permanent"), [(42001, False), (-1, False), (81013, True)])
def test_wechat_refuses_with_a_code(code: int, permanent: bool) -> None:
    """An expired token and a busy system are no reason to give up."""
    with receiving() as wechat:
        wechat.reply_json({"access_token": "tok", "errcode": code, "errmsg": "why"})
        with pytest.raises(DeliveryError, match="why") as failure:
            send("wechat", wechat_options(wechat))
    assert failure.value.permanent is permanent


def test_wechat_without_a_token() -> None:
    """Is refused with what WeChat says."""
    with receiving() as wechat:
        wechat.reply_json({"errcode": 40001, "errmsg": "invalid credential"})
        with pytest.raises(DeliveryError, match="invalid credential"):
            send("wechat", wechat_options(wechat))
