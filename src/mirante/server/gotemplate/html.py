"""Escapes what a template prints by the place in the HTML where it prints it, as Go's ``html/template`` does.

The literal text of the templates is trusted and followed through a small state machine; values are escaped for element
text, attributes, URLs and styles. In scripts and event handlers only numbers and truth values are printed. Whatever a
place cannot take becomes ``ZgotmplZ``, Go's own sign for it. Comments of the HTML are left out.

Source: pkg.go.dev/html/template.
"""

from __future__ import annotations

import re

from mirante.server.gotemplate.builtins import MOST, MOST_WRITTEN
from mirante.server.gotemplate.printing import Printer, sprint
from mirante.server.gotemplate.values import Html

_TEXT = str.maketrans({
    '"': "&#34;", "&": "&amp;", "'": "&#39;", "+": "&#43;", "<": "&lt;", ">": "&gt;", "\0": "\ufffd",
})  # fmt: skip
_BARE = {ord(char): f"&#{ord(char)};" for char in "\t\n\v\f\r =`"}
_REFUSED = "ZgotmplZ"
_TAG = re.compile(r"<(?:(!--)|(/?)([a-zA-Z][^\s/>]*))")
_ALONE = re.compile(r"<(?!!doctype)", re.IGNORECASE)
_NAME = re.compile(r"[^\s=>/]+")
_BARE_END = re.compile(r"[\s>]")
_REST = re.compile(r"[^\s/>]*")
_SPACE = re.compile(r"\s*")
_URLS = frozenset({
    "action", "archive", "background", "cite", "classid", "codebase", "data", "formaction", "href", "icon", "longdesc",
    "manifest", "poster", "profile", "src", "usemap", "xmlns",
})  # fmt: skip
_RAW = frozenset({"script", "style", "textarea", "title"})
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SCHEME = re.compile(r"[^/?#:]*:")
_CSS = re.compile(r"[\w #.,%!+-]*", re.ASCII)
_ENTITY = re.compile(r"&amp;(#\d+;|#[xX][0-9a-fA-F]+;|\w+;)")


class HtmlWriter:
    """Writes HTML."""

    def __init__(self) -> None:
        self._printer = Printer(MOST_WRITTEN)
        self._state = "text"
        self._element = self._attribute = self._quote = self._url = ""
        self._closes = False

    def result(self) -> str:
        """All that was written."""
        return self._printer.result()

    def text(self, text: str) -> None:
        """Take the template's own text.

        Raises:
            ValueError: it is too much.
        """
        pos = 0
        while pos < len(text):
            pos = getattr(self, "_in_" + self._state)(text, pos)

    def value(self, value: object) -> None:
        """Take a value, escaped for where it stands.

        Raises:
            ValueError: it is too much, or it has no text.
        """
        if self._state == "before_value":
            self._state, self._quote, self._url = "value", "", ""
        self._printer.text(self._escaped(value))

    # The state machine: each method takes the text from pos on and gives how far it came.

    def _keep(self, text: str, pos: int, end: int) -> int:
        self._printer.text(text[pos:end])
        return end

    def _in_text(self, text: str, pos: int) -> int:
        found = _TAG.search(text, pos)
        start = len(text) if found is None else found.start()
        self._printer.text(_ALONE.sub("&lt;", text[pos:start]))
        if found is None:
            return start
        if found[1]:
            self._state = "comment"
            return found.end()
        self._closes, self._element, self._state = bool(found[2]), found[3].lower(), "tag_name"
        return self._keep(text, start, found.end())

    def _in_tag_name(self, text: str, pos: int) -> int:
        end = _past(_REST, text, pos)
        self._element, self._state = self._element + text[pos:end].lower(), "tag"
        return self._keep(text, pos, end)

    def _in_comment(self, text: str, pos: int) -> int:
        end = text.find("-->", pos)
        if end < 0:
            return len(text)
        self._state = "text"
        return end + 3

    def _in_tag(self, text: str, pos: int) -> int:
        if text[pos] == ">":
            self._state = "raw" if self._element in _RAW and not self._closes else "text"
            return self._keep(text, pos, pos + 1)
        found = _NAME.match(text, pos)
        if found is None:
            return self._keep(text, pos, pos + 1)
        self._attribute, self._state = found[0].lower(), "after_name"
        return self._keep(text, pos, found.end())

    def _in_after_name(self, text: str, pos: int) -> int:
        end = _past(_SPACE, text, pos)
        self._keep(text, pos, end)
        if end < len(text):
            self._state = "before_value" if text[end] == "=" else "tag"
            end = self._keep(text, end, end + 1) if text[end] == "=" else end
        return end

    def _in_before_value(self, text: str, pos: int) -> int:
        end = _past(_SPACE, text, pos)
        self._keep(text, pos, end)
        if end < len(text):
            quoted = text[end] in "\"'"
            self._state, self._quote, self._url = "value", text[end] if quoted else "", ""
            end = self._keep(text, end, end + quoted)
        return end

    def _in_value(self, text: str, pos: int) -> int:
        if self._quote:
            end = text.find(self._quote, pos)
        else:
            found = _BARE_END.search(text, pos)
            end = -1 if found is None else found.start()
        stop = len(text) if end < 0 else end
        self._url += text[pos:stop]
        self._keep(text, pos, stop)
        if end >= 0:
            self._state = "tag"
            stop = self._keep(text, stop, stop + len(self._quote))
        return stop

    def _in_raw(self, text: str, pos: int) -> int:
        found = re.compile(f"</{self._element}(?=[\\s/>])", re.IGNORECASE).search(text, pos)
        if found is None:
            return self._keep(text, pos, len(text))
        self._state, self._closes = "tag", True
        return self._keep(text, pos, found.end())

    # Values

    def _escaped(self, value: object) -> str:
        shown = "" if value is None else str(value) if isinstance(value, str) else sprint([value], MOST)
        match self._state:
            case "text":
                return shown if isinstance(value, Html) else shown.translate(_TEXT)
            case "comment":
                return ""
            case "raw":
                return self._in_element(value, shown)
            case "value":
                return self._in_attribute(value, shown)
        # It would be an attribute's name, or, right behind one or a tag's, change what that means.
        named = self._state == "tag" and shown.isalnum() and not shown.lower().startswith("on")
        return shown if named else _REFUSED

    def _in_element(self, value: object, shown: str) -> str:
        if self._element == "script":
            return _script(value, shown)
        if self._element == "style":
            return _style(shown)
        return _normalized(shown) if isinstance(value, Html) else shown.translate(_TEXT)

    def _in_attribute(self, value: object, shown: str) -> str:
        kind = _kind(self._attribute)
        if kind == "url":
            text = self._in_url(value, shown)
        elif kind == "style":
            text = _style(shown).translate(_TEXT)
        elif kind == "script":
            text = _script(value, shown)
        else:
            text = _attribute(value, shown)
        if self._quote:
            return text
        return text.translate(_BARE) or _REFUSED

    def _in_url(self, value: object, shown: str) -> str:
        # Only the template's own text says where in a URL a value stands, not the values before it.
        if "?" in self._url or "#" in self._url:
            return shown.translate(_TEXT) if isinstance(value, UrlQuery) else _percent(shown, _UNRESERVED)
        scheme = _SCHEME.match(shown)
        if not self._url.strip() and scheme and scheme[0].strip().lower() not in {"http:", "https:", "mailto:"}:
            return "#" + _REFUSED
        kept = re.sub(r"%(?![0-9a-fA-F]{2})", "%25", shown)
        return _percent(kept, _UNRESERVED | frozenset(b"%!#$&*+,/:;=?@[]")).translate(_TEXT)


class UrlQuery(str):
    """Text that is escaped for the query of a URL already."""

    __slots__ = ()


def _past(pattern: re.Pattern[str], text: str, pos: int) -> int:
    """Behind what matches there; the pattern may match nothing."""
    found = pattern.match(text, pos)
    return pos if found is None else found.end()


def _percent(text: str, kept: frozenset[int]) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in kept else f"%{byte:02x}" for byte in raw)


def _kind(name: str) -> str:
    name = name.removeprefix("data-")
    name = name.rpartition(":")[2] if not name.startswith("xmlns") else "xmlns"
    if name.startswith("on"):
        return "script"
    if name in {"style", "srcset", "srcdoc"}:
        return "style"
    return "url" if name in _URLS or "src" in name or "uri" in name or "url" in name else "plain"


def _attribute(value: object, shown: str) -> str:
    """Text for a quoted attribute; what is HTML already loses its tags and keeps its entities."""
    if isinstance(value, Html):
        return _normalized(re.sub(r"<[^>]*>", "", shown))
    return shown.translate(_TEXT)


def _normalized(text: str) -> str:
    """Text without tags that keeps its entities."""
    return _ENTITY.sub(r"&\1", text.translate(_TEXT))


def _script(value: object, shown: str) -> str:
    return f" {shown} " if isinstance(value, (bool, int, float)) else _REFUSED


def _style(shown: str) -> str:
    return shown if _CSS.fullmatch(shown) and "expression" not in shown.lower() else _REFUSED
