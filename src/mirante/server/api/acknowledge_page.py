"""``/acknowledge``: where a link in a message leads; shows the alerts that it names, and a form to take them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from mirante.errors import BadRequestError
from mirante.server.access.guard import ASKING, same_origin
from mirante.server.access.small_page import Language, language_of, small_page
from mirante.server.api.alerting import asking, span_of
from mirante.server.api.parameters import Parameters
from mirante.server.api.problem import problem, with_problems
from mirante.server.notify.notifier import Notifier
from mirante.server.notify.status import AlertStatus

PATH = "/acknowledge"
_SPANS = ("", "30m", "2h", "8h", "1d")
_WORDS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "title": "Acknowledge",
        "author": "Your name",
        "comment": "Comment",
        "for": "For how long",
        "": "until it resolves",
        "button": "I take it on",
        "over": "None of these alerts fires any more.",
        "by": "taken on by",
    },
    "pt": {
        "title": "Reconhecer",
        "author": "O seu nome",
        "comment": "Comentário",
        "for": "Por quanto tempo",
        "": "até que se resolva",
        "button": "Eu cuido disto",
        "over": "Nenhum destes alertas continua ativo.",
        "by": "a cargo de",
    },
}
_FORM = """<ul>{alerts}</ul><form method="post" action="/acknowledge">{hidden}
<label for="for">{for}</label><select id="for" name="for">{spans}</select>
<label for="author">{author}</label><input id="author" name="author" value="{name}" required>
<label for="comment">{comment}</label><input id="comment" name="comment" autofocus>
<button type="submit">{button}</button></form>"""


class AcknowledgePage:
    """The handlers.

    Args:
        notifier: decides who is told.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def routes(self) -> list[BaseRoute]:
        """The page, and what its form sends."""
        return [
            Route(PATH, with_problems(self.show), methods=["GET"]),
            Route(PATH, with_problems(self.take_on), methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Those alerts of the link that fire."""
        ids = frozenset(request.query_params.getlist("alert"))
        alerts = [one for one in self._notifier.dispatcher.status(self._notifier.now()).alerts() if one.id in ids]
        language = language_of(request)
        words = _WORDS[language]
        body = _form(words, alerts) if alerts else f"<p>{words['over']}</p>"
        return small_page(language, words["title"], body)

    async def take_on(self, request: Request) -> Response:
        """Do it, and show what is so now."""
        if not same_origin(request.headers):
            return problem(403, "a page of another site cannot acknowledge anything here")
        given, now = await Parameters.of(request), self._notifier.now()
        author = given.text("author").strip() or asking()
        if not author:
            raise BadRequestError("say who takes the alerts on")
        until = now + span_of(given.text("for")) if given.text("for") else None
        self._notifier.dispatcher.acknowledge(given.all("alert"), author, given.text("comment").strip(), now, until)
        self._notifier.changed()
        query = urlencode([("alert", one) for one in dict.fromkeys(given.all("alert"))])
        return RedirectResponse(f"{PATH}?{query}", status_code=303)


def _form(words: Mapping[str, str], alerts: Sequence[AlertStatus]) -> str:
    spans = "".join(f'<option value="{span}">{words.get(span, span)}</option>' for span in _SPANS)
    hidden = "".join(f'<input type="hidden" name="alert" value="{one.id}">' for one in alerts)
    listed = "".join(_listed(words, one) for one in alerts)
    return _FORM.format(alerts=listed, hidden=hidden, spans=spans, name=escape(_known_name()), **words)


def _known_name() -> str:
    """Of whoever asks with a token; an address is not a name."""
    identity = ASKING.get()
    return identity.name if identity and identity.token_id else ""


def _listed(words: Mapping[str, str], status: AlertStatus) -> str:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(status.alert.labels.items()) if name != "alertname")
    taken = status.acknowledgement
    told = "" if taken is None else f"<p>{words['by']} {escape(taken.author)}: {escape(taken.comment)}</p>"
    summary = status.alert.annotations.get("summary", "")
    said = f"<p>{escape(summary)}</p>" if summary else ""
    return f"<li><strong>{escape(status.alert.name)}</strong> {escape(labels)}{said}{told}</li>"
