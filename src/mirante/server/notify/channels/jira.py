"""``jira_configs``: an issue for a group, found again by a label, reopened and resolved by transitions.

Source: developer.atlassian.com, "The Jira Cloud platform REST API: Issues, Issue search".
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from mirante.errors import DeliveryError
from mirante.server.notify.channels.caller import Answer, Caller
from mirante.server.notify.channels.message import Message, inlined, without_empty

_SUMMARY_CHARACTERS, _DESCRIPTION_CHARACTERS = 255, 32_767


async def send(message: Message, caller: Caller) -> str:
    """Create the issue, or change the one that is there.

    Raises:
        DeliveryError: Jira did not do it.
    """
    return await _Jira(message, caller).tell()


class _Jira:
    """One notification's conversation with Jira."""

    def __init__(self, message: Message, caller: Caller) -> None:
        self._message, self._caller = message, caller
        self._base = message.url("api_url").rstrip("/")

    async def tell(self) -> str:
        found = await self._find()
        if found is None:
            if not self._message.firing:
                return "no issue is open"
            answer = await self._call("POST", f"{self._base}/issue", {"fields": issue(self._message)})
            return str(answer.json().get("key") or answer)
        name = str(found.get("key"))
        kept = self._message.get("not_updated", ())
        fields = {key: value for key, value in issue(self._message).items() if key not in kept}
        await self._call("PUT", f"{self._base}/issue/{name}", {"fields": fields})
        status = found.get("fields", {}).get("status", {}).get("statusCategory", {}).get("key")
        if self._message.firing is (status == "done"):
            await self._change(name, "reopen_transition" if self._message.firing else "resolve_transition")
        return name

    async def _call(self, method: str, url: str, body: object = None) -> Answer:
        key = self._message.notification.id if method == "POST" and url.endswith("/issue") else ""
        return await self._caller.post_json(url, body, key, method=method, headers={"Accept-Language": "en"})

    async def _find(self) -> dict[str, Any] | None:
        """The group's issue: an open one, or one that was resolved a short time ago and may be reopened."""
        get = self._message.get
        recent = int(get("reopen_duration", 0)) // 60_000
        parts = []
        if get("wont_fix_resolution"):
            parts.append(f"resolution != {json.dumps(get('wont_fix_resolution'))}")
        if self._message.firing and get("reopen_transition") and recent:
            parts.append(f"(resolutiondate is EMPTY OR resolutiondate >= -{recent}m)")
        else:
            parts.append("statusCategory != Done")
        parts.append(f"project={json.dumps(self._message.text('project'))}")
        parts.append(f"labels={json.dumps(_label(self._message))}")
        query = " and ".join(parts) + " order by status ASC,resolutiondate DESC"
        answer = await self._call("POST", self._search(), {"jql": query, "maxResults": 2, "fields": ["status"]})
        issues = answer.json().get("issues") or [None]
        first: dict[str, Any] | None = issues[0]
        return first

    def _search(self) -> str:
        """Jira Cloud has a path of its own, which its version 2 lacks."""
        kind = self._message.get("api_type", "auto")
        cloud = str(urlsplit(self._base).hostname).endswith("atlassian.net")
        if kind == "cloud" or (kind == "auto" and cloud):
            return f"{self._base}/search/jql".replace("/rest/api/2/", "/rest/api/3/")
        return f"{self._base}/search"

    async def _change(self, issue_name: str, option: str) -> None:
        wanted = self._message.text(option)
        if not wanted:
            return
        url = f"{self._base}/issue/{issue_name}/transitions"
        known = (await self._call("GET", url)).json().get("transitions", [])
        for transition in known:
            if transition.get("name") == wanted:
                await self._call("POST", url, {"transition": {"id": transition["id"]}})
                return
        names = ", ".join(str(one.get("name")) for one in known)
        raise DeliveryError(f'issue {issue_name} has no transition "{wanted}", only: {names}', permanent=True)


def _label(message: Message) -> str:
    return f"ALERT{{{message.key}}}"


def issue(message: Message) -> dict[str, Any]:
    """The fields of the issue; of version 3 the description is a document in JSON."""
    description: Any = message.with_notice(message.text("description"))[:_DESCRIPTION_CHARACTERS]
    if message.url("api_url").rstrip("/").endswith("/3"):
        description = _document(message.text("description"), message.notice)
    labels = sorted([*(message.render(str(label)) for label in message.get("labels", ())), _label(message)])
    priority = message.text("priority")
    return {
        "project": {"key": message.text("project")},
        "issuetype": {"name": message.text("issue_type")},
        "summary": message.text("summary", _SUMMARY_CHARACTERS),
        "labels": labels,
        **without_empty({"description": description}),
        **({"priority": {"name": priority}} if priority else {}),
        **{name: inlined(message, value) for name, value in message.get("fields", {}).items()},
    }


def _document(text: str, notice: str) -> dict[str, Any]:
    """A description that is a document already, or one of paragraphs."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if isinstance(found, dict) and not notice:
        return found
    lines = [line for line in (notice, *text.splitlines()) if line]
    paragraphs = [{"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in lines]
    return {"version": 1, "type": "doc", "content": paragraphs}
