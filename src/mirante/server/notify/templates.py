"""Templates of notifications: Go's language with Alertmanager's functions, files and default templates.

Source: prometheus.io, "Notification template reference".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from glob import glob
from importlib import resources
from pathlib import Path
from urllib.parse import unquote_to_bytes

from mirante.errors import ConfigError, TemplateError
from mirante.server import re2
from mirante.server.gotemplate import Duration, Html, StringList, Struct, TemplateSet, Time, humanize
from mirante.server.notify.notification import Notification
from mirante.server.notify.template_data import Data

_MOST_CHARACTERS = 1 << 20
_DEFAULTS = ("default.tmpl", "email.tmpl")


def _upper(text: str) -> str:
    return text.upper()


def _lower(text: str) -> str:
    return text.lower()


def _title(text: str) -> str:
    # The first letter of a word large, the others small; an apostrophe does not end a word.
    out, inside = [], False
    for char in text:
        out.append(char.lower() if inside else char.title())
        inside = char.isalpha() or (inside and (char.isalnum() or char in "_'.\u2019"))
    return "".join(out)


def _trim_space(text: str) -> str:
    return text.strip()


def _join(separator: str, texts: Sequence[str]) -> str:
    texts = texts or ()
    if sum(map(len, texts)) + len(separator) * len(texts) > _MOST_CHARACTERS:
        raise ValueError("the text becomes too long")
    return separator.join(texts)


def _match(pattern: str, text: str) -> bool:
    return re2.found(pattern, text)


def _re_replace_all(pattern: str, replacement: str, text: str) -> str:
    return re2.replace_all(pattern, replacement, text, _MOST_CHARACTERS)


def _safe_html(text: str) -> Html:
    return Html(text)


def _string_slice(*texts: str) -> StringList:
    return StringList(texts)


def _url_unescape(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def _date(layout: str, time: Time) -> str:
    return time.format(layout)


def _tz(name: str, time: Time) -> Time:
    return time.within(name)


def _unavailable(*_: object) -> object:
    raise ValueError("it is not there outside of a notification")


def _to_json(value: object) -> str:
    text = json.dumps(_plain(value, 0), ensure_ascii=False, separators=(",", ":"), sort_keys=False)
    # As Go does, so that the text can stand in a page.
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _plain(value: object, depth: int) -> object:
    """A value as JSON knows it; fields have the names that Alertmanager's webhooks give them."""
    if depth > 20:
        raise ValueError("the value is too deep")
    if isinstance(value, Time):
        return value.format("2006-01-02T15:04:05.999999999Z07:00")
    if isinstance(value, Struct):
        fields = value.go_fields.items()
        return {_json_name(type(value).__name__, name): _plain(getattr(value, key), depth + 1) for name, key in fields}
    if isinstance(value, Mapping):
        return {str(name): _plain(value[name], depth + 1) for name in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_plain(one, depth + 1) for one in value]
    return value


def _json_name(kind: str, name: str) -> str:
    return name if kind == "Pair" else name[0].lower() + name[1:]


def _base64_encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _base64_decode(text: str) -> str:
    try:
        return base64.b64decode(text, altchars=b"-_", validate=True).decode("utf-8", "surrogateescape")
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None


_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "base64decode": _base64_decode, "base64encode": _base64_encode, "date": _date,
    "humanizeDuration": humanize.humanize_duration, "join": _join, "match": _match, "now": _unavailable,
    "reReplaceAll": _re_replace_all, "safeHtml": _safe_html, "safeUrl": _safe_html, "since": _unavailable,
    "stringSlice": _string_slice, "title": _title, "toJson": _to_json, "toLower": _lower, "toUpper": _upper,
    "trimSpace": _trim_space, "tz": _tz, "urlUnescape": _url_unescape,
}  # fmt: skip


class _Clock:
    """The functions that know when a notification was made."""

    def __init__(self, now: Time) -> None:
        self._now = now

    def now(self) -> Time:
        return self._now

    def since(self, time: Time) -> Duration:
        return self._now.sub(time)


@cache
def _default_texts() -> tuple[tuple[str, str], ...]:
    folder = resources.files("mirante.server.notify")
    return tuple((name, (folder / name).read_text(encoding="utf-8")) for name in _DEFAULTS)


class Templates:
    """The default templates and those of the configuration's files, which win over them.

    Args:
        paths: files, or patterns of them; a pattern that matches none is no error.
        external_url: under which people find this server.

    Raises:
        ConfigError: a file cannot be read or parsed; the message has its path and line.

    Example:
        >>> Templates((), "http://localhost:8503").text("{{ .ExternalURL }}/#/alerts", {"ExternalURL": "http://m"})
        'http://m/#/alerts'
    """

    def __init__(self, paths: Iterable[Path | str], external_url: str) -> None:
        self._external_url = external_url
        self._set = TemplateSet(_FUNCTIONS)
        for name, text in _default_texts():
            self._set.parse(name, text)
        for path in paths:
            for file in sorted(glob(str(path))):  # noqa: PTH207 - patterns may be absolute
                self._load(Path(file))

    def _load(self, file: Path) -> None:
        try:
            self._set.parse(file.name, file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{file}: cannot be read: {error}", key="templates", source=str(file)) from None
        except TemplateError as error:
            message = f"{file}, line {error.line}: {error}"
            raise ConfigError(message, key="templates", source=str(file)) from None

    @property
    def external_url(self) -> str:
        """Under which people find this server."""
        return self._external_url

    @property
    def names(self) -> list[str]:
        """Names of all templates."""
        return self._set.names

    def check(self, template: str) -> None:
        """Parse a template, and look whether there is what it calls.

        Raises:
            TemplateError: it cannot be parsed, or calls a template that nothing defines.
        """
        parsed = self._set.check(template)
        for name in parsed.called():
            if name not in parsed.defined and name not in self._set.names:
                raise TemplateError(f'no file of `templates` defines "{name}"')

    def data(self, notification: Notification) -> Data:
        """What the templates of a notification see."""
        return Data(notification, self._external_url)

    def text(self, template: str, data: object) -> str:
        """A template as plain text; where it fails, the error stands in its place."""
        return self._rendered(template, data, html=False)

    def html(self, template: str, data: object) -> str:
        """A template as HTML, with all that it puts in escaped; where it fails, the error stands in its place."""
        return self._rendered(template, data, html=True)

    def _rendered(self, template: str, data: object, *, html: bool) -> str:
        try:
            return self.render(template, data, html=html)
        except TemplateError as error:
            # Sent all the same: a notification that is not pretty is better than none.
            message = f"<error executing template: {error}>"
            return self.render("{{ . }}", message, html=html)

    def render(self, template: str, data: object, *, html: bool = False) -> str:
        """A template rendered.

        Raises:
            TemplateError: it fails.
        """
        functions: dict[str, Callable[..., object]] = {}
        if isinstance(data, Data):
            clock = _Clock(data.now)
            functions = {"now": clock.now, "since": clock.since}
        return self._set.render(template, data, html=html, functions=functions)
