"""Every way of telling people, by name."""

from __future__ import annotations

from collections.abc import Mapping

from mirante.server.notify.kinds_chat import (
    DISCORD,
    MATTERMOST,
    MSTEAMS,
    MSTEAMSV2,
    ROCKETCHAT,
    SLACK,
    TELEGRAM,
    WEBEX,
    WECHAT,
)
from mirante.server.notify.kinds_paging import INCIDENTIO, JIRA, OPSGENIE, PAGERDUTY, PUSHOVER, VICTOROPS
from mirante.server.notify.kinds_plain import APPRISE, EMAIL, SMS, SNS, WEBHOOK
from mirante.server.notify.options import Kind

OWN_KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (SMS, APPRISE)}
"""Those that Alertmanager does not know."""

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        WEBHOOK, EMAIL, SLACK, PAGERDUTY, OPSGENIE, MSTEAMS, MSTEAMSV2, DISCORD, TELEGRAM, SNS, PUSHOVER, VICTOROPS,
        WECHAT, WEBEX, JIRA, ROCKETCHAT, MATTERMOST, INCIDENTIO, *OWN_KINDS.values(),
    )
}  # fmt: skip
