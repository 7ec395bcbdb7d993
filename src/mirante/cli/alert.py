"""``mirante alert``: what fires, who has taken it on, who was told.

Exit codes: 0 done, 1 refused, or no such alert, 2 wrong usage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from mirante.cli import backtest
from mirante.cli.alerting import (
    AS_JSON,
    AUTHOR,
    MATCHERS,
    api_time,
    local,
    milliseconds,
    named,
    parsed,
    shown_labels,
    table,
    who,
)
from mirante.cli.asking import DEFAULT_SERVER, READ_TOKEN, SERVER, TOKEN, ask
from mirante.errors import QueryError

app = typer.Typer(
    help="See and take on alerts that fire.\n\nExit codes: 0 done, 1 refused, or no such alert, 2 wrong usage.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

app.command("backtest")(backtest.command)

_API = "/api/v1/alerting"
_WHICH = Annotated[
    list[str], typer.Argument(metavar="ALERT", help="Ids from `mirante alert list`, or matchers such as DiskFull.")
]
_COMMENT = Annotated[str, typer.Option("--comment", "-c", metavar="TEXT", help="What others should know.")]

Document = Mapping[str, Any]


@app.command("list")
def listed(
    matchers: MATCHERS = None,
    receiver: Annotated[
        str | None, typer.Option("--receiver", "-r", metavar="REGEX", help="Only what such receivers are told.")
    ] = None,
    waiting: Annotated[
        bool, typer.Option("--open", help="Only what nobody has taken on, and nothing silences.")
    ] = False,
    as_json: AS_JSON = False,
    server: SERVER = DEFAULT_SERVER,
    token: READ_TOKEN = None,
) -> None:
    """List the alerts that fire."""
    query = [("filter", str(matcher)) for matcher in parsed(matchers or [])]
    query += [("receiver", receiver)] if receiver is not None else []
    query += [(name, "false") for name in ("silenced", "inhibited", "acknowledged") if waiting]
    alerts = ask(server, token, "GET", f"{_API}/alerts?{urlencode(query)}")["alerts"]
    if waiting:
        alerts = [one for one in alerts if one["status"]["state"] == "active"]
    if as_json:
        typer.echo(json.dumps(alerts, indent=2, ensure_ascii=False))
    elif not alerts:
        typer.echo("no alert fires" if not query else "no such alert fires")
    else:
        head = ["ID", "ALERT", "SINCE", "STATE", "TOLD", "LABELS"]
        typer.echo("\n".join(table(head, [_row(one) for one in alerts])))


def _row(alert: Document) -> list[str]:
    return [
        alert["fingerprint"],
        alert["labels"].get("alertname", ""),
        local(alert["startsAt"]),
        _state(alert),
        ", ".join(one["name"] for one in alert["receivers"]),
        shown_labels(alert["labels"], "alertname"),
    ]


def _state(alert: Document) -> str:
    status, taken = alert["status"], alert["acknowledgement"]
    for key, word in (("silencedBy", "silenced"), ("inhibitedBy", "inhibited"), ("mutedBy", "muted")):
        if status[key]:
            return word
    if taken is not None:
        return f"{'snoozed' if taken['until'] else 'acknowledged'} by {taken['author']}"
    return "escalated" if any(one["level"] for one in alert["escalations"]) else "firing"


@app.command("show")
def show(
    alert: Annotated[str, typer.Argument(metavar="ID", help="From `mirante alert list`.")],
    as_json: AS_JSON = False,
    server: SERVER = DEFAULT_SERVER,
    token: READ_TOKEN = None,
) -> None:
    """Show all that is known of an alert, and who was told of it."""
    found = ask(server, token, "GET", f"{_API}/alerts?{urlencode({'id': alert})}")["alerts"]
    told = ask(server, token, "GET", f"{_API}/history?{urlencode({'alert': alert})}")["notifications"]
    if not found and not told:
        raise QueryError(f"nothing is known of an alert {alert}")
    if as_json:
        document = {"alert": found[0] if found else None, "notifications": told}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    typer.echo("\n".join(_described(found[0]) if found else ["it does not fire any more"]))
    if told:
        typer.echo("\n" + "\n".join(_history(told)))


def _described(alert: Document) -> Iterator[str]:
    status, taken = alert["status"], alert["acknowledgement"]
    yield f"alert      {alert['labels'].get('alertname', '')} {{{shown_labels(alert['labels'], 'alertname')}}}"
    for name, text in alert["annotations"].items():
        yield f"{name.ljust(10)} {text}"
    yield f"since      {local(alert['startsAt'])}"
    yield f"state      {_state(alert)}"
    for key, word in (("silencedBy", "silences"), ("inhibitedBy", "inhibited"), ("mutedBy", "muted")):
        if status[key]:
            yield f"{word.ljust(10)} {', '.join(status[key])}"
    if taken is not None:
        until = f", until {local(taken['until'])}" if taken["until"] else ""
        yield f"taken on   by {taken['author']}, {local(taken['at'])}{until}: {taken['comment']}"
    yield f"receivers  {', '.join(one['name'] for one in alert['receivers'])}"
    for one in alert["escalations"]:
        coming = one["next"]
        then = f", level {coming['level']} {local(coming['at'])}" if coming else ", nothing more"
        yield f"escalation {one['policy']}: level {one['level']}{then}"
    if alert["generatorURL"]:
        yield f"source     {alert['generatorURL']}"


@app.command("ack")
def acknowledge(
    alerts: _WHICH,
    comment: _COMMENT = "",
    author: AUTHOR = None,
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """Take alerts on: nobody is told of them again until they have resolved."""
    document = {**named(alerts), "author": who(author), "comment": comment}
    _changed(ask(server, token, "POST", f"{_API}/acknowledge", document))


@app.command("snooze")
def snooze(
    alerts: _WHICH,
    duration: Annotated[
        str, typer.Option("--duration", "-d", metavar="DURATION", help="After which people are told again.")
    ] = "1h",
    comment: _COMMENT = "",
    author: AUTHOR = None,
    server: SERVER = DEFAULT_SERVER,
    token: TOKEN = None,
) -> None:
    """Take alerts on for some time."""
    span = milliseconds(duration, "duration") / 1000
    document = {**named(alerts), "author": who(author), "comment": comment, "for": span}
    _changed(ask(server, token, "POST", f"{_API}/snooze", document))


@app.command("unack")
def unacknowledge(alerts: _WHICH, server: SERVER = DEFAULT_SERVER, token: TOKEN = None) -> None:
    """Take an acknowledgement back: people are told again."""
    _changed(ask(server, token, "POST", f"{_API}/unacknowledge", named(alerts)))


def _changed(answer: Document) -> None:
    typer.echo("\n".join(answer["alerts"]))


@app.command("history")
def history(
    alert: Annotated[str | None, typer.Option(metavar="ID", help="Only what was told of this alert.")] = None,
    receiver: Annotated[
        str | None, typer.Option("--receiver", "-r", metavar="NAME", help="Only what it was told.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Earliest time, such as -1d.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Latest time.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Most lines.")] = 100,
    as_json: AS_JSON = False,
    server: SERVER = DEFAULT_SERVER,
    token: READ_TOKEN = None,
) -> None:
    """List who was told what, newest first."""
    asked = {"alert": alert, "receiver": receiver, "limit": str(limit)}
    asked |= {name: text and api_time(text) for name, text in (("since", since), ("until", until))}
    query = urlencode({name: text for name, text in asked.items() if text})
    told = ask(server, token, "GET", f"{_API}/history?{query}")["notifications"]
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(_history(told)) if told else "nobody was told of anything")


def _history(told: list[Document]) -> Iterator[str]:
    head = ["TIME", "TOLD", "BY", "REASON", "ALERTS", "STATE", "TRIES", "ANSWER"]
    return table(head, [_told(one) for one in told])


def _told(one: Document) -> list[str]:
    names = dict.fromkeys(alert["labels"].get("alertname", "") for alert in one["alerts"])
    level = f" (level {one['level']})" if one["level"] else ""
    attempts = one["attempts"]
    return [
        local(one["createdAt"]),
        one["receiver"],
        one["integration"],
        one["reason"] + level,
        ", ".join(names),
        one["state"],
        str(len(attempts)),
        attempts[-1]["answer"] if attempts else "",
    ]


@app.command("oncall")
def oncall(as_json: AS_JSON = False, server: SERVER = DEFAULT_SERVER, token: READ_TOKEN = None) -> None:
    """Tell who is on call by each schedule, and who comes next."""
    schedules = ask(server, token, "GET", f"{_API}/oncall")["schedules"]
    if as_json:
        typer.echo(json.dumps(schedules, indent=2, ensure_ascii=False))
    elif not schedules:
        typer.echo("there is no schedule; alertmanager.yml may have some below on_call")
    else:
        rows = [[one["name"], one["person"], *_following(one["next"])] for one in schedules]
        typer.echo("\n".join(table(["SCHEDULE", "ON CALL", "NEXT", "FROM"], rows)))


def _following(handover: Document | None) -> tuple[str, str]:
    return (handover["person"], local(handover["at"])) if handover else ("", "")
