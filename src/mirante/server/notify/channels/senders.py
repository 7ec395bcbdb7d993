"""Which channel sends what kind of integration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from mirante.server.notify.channels import (
    apprise,
    discord,
    email,
    jira,
    mattermost,
    opsgenie,
    pagerduty,
    pushover,
    rocketchat,
    slack,
    sms,
    sns,
    teams,
    telegram,
    victorops,
    webex,
    webhook,
    wechat,
)
from mirante.server.notify.channels.caller import Caller
from mirante.server.notify.channels.message import Message

Send = Callable[[Message, Caller], Awaitable[str]]
"""Sends a message and gives the answer in one line; raises DeliveryError where it did not arrive."""

SENDERS: Mapping[str, Send] = {
    "apprise": apprise.send,
    "discord": discord.send,
    "email": email.send,
    "incidentio": webhook.send_incidentio,
    "jira": jira.send,
    "mattermost": mattermost.send,
    "msteams": teams.send,
    "msteamsv2": teams.send_v2,
    "opsgenie": opsgenie.send,
    "pagerduty": pagerduty.send,
    "pushover": pushover.send,
    "rocketchat": rocketchat.send,
    "slack": slack.send,
    "sms": sms.send,
    "sns": sns.send,
    "telegram": telegram.send,
    "victorops": victorops.send,
    "webex": webex.send,
    "webhook": webhook.send,
    "wechat": wechat.send,
}
