"""Cuts the text of a template into tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mirante.errors import TemplateError

_SPACES = " \t\r\n"
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<raw>`[^`]*`)
      | (?P<char>'(?:\\.|[^'\\\n])*')
      | (?P<number>[+-]?(?:[0-9]|\.[0-9])(?:[\w.]|(?<=[eEpP])[+-])*)
      | (?P<field>\.\w+)
      | (?P<dot>\.)
      | (?P<variable>\$\w*)
      | (?P<word>\w+)
      | (?P<sign>:=|[=|(),])""",
    re.VERBOSE,
)
_COMMENT, _TRIMMED_COMMENT = re.compile(r"/\*"), re.compile(r"[ \t\r\n]+/\*")
_COMMENT_END = re.compile(r"[ \t\r\n]+-\}\}|\}\}")
_ENDS = frozenset(" \t\r\n.,|:=()}")
"""What may follow a name."""
_UNFINISHED = {
    '"': "unterminated quoted string",
    "`": "unterminated raw quoted string",
    "'": "unterminated character constant",
}


class Token(NamedTuple):
    """A piece of the source.

    Attributes:
        kind: ``text``, ``open``, ``close``, ``end`` (of the source), or a name of the pattern's groups.
        text: as it stands there; for ``text`` without what trim markers take away.
        pos: offset of its first character.
    """

    kind: str
    text: str
    pos: int


def located(name: str, source: str, pos: int, message: str) -> TemplateError:
    """The error of a place in a template, to be raised."""
    line = source.count("\n", 0, pos) + 1
    column = pos - source.rfind("\n", 0, pos)
    return TemplateError(f"template: {name}:{line}:{column}: {message}", name=name, line=line, column=column)


def tokens(name: str, source: str) -> Iterator[Token]:
    """Tokens of a source, the last one of kind ``end``.

    Raises:
        TemplateError: something that no template can contain.
    """
    pos, trim = 0, False
    while True:
        start = source.find("{{", pos)
        text = source[pos:] if start < 0 else source[pos:start]
        opens = source.startswith("{{-", start) and source[start + 3 : start + 4] in tuple(_SPACES)
        if trim:
            stripped = text.lstrip(_SPACES)
            pos, text = pos + len(text) - len(stripped), stripped
        if start >= 0 and opens:
            text = text.rstrip(_SPACES)
        if text:
            yield Token("text", text, pos)
        if start < 0:
            yield Token("end", "", len(source))
            return
        pos = start + (3 if opens else 2)
        comment = _comment(name, source, pos)
        if comment is not None:
            pos, trim = comment
            continue
        yield Token("open", "{{", start)
        for token in _inside(name, source, pos):
            yield token
        trim = token.text != "}}"
        pos = token.pos + len(token.text)


def _comment(name: str, source: str, pos: int) -> tuple[int, bool] | None:
    """Where a comment that begins here ends, and whether it trims; None when there is none."""
    opening = (_TRIMMED_COMMENT if source[pos - 1] == "-" else _COMMENT).match(source, pos)
    if opening is None:
        return None
    start = opening.end() - 2
    stop = source.find("*/", start + 2)
    if stop < 0:
        raise located(name, source, start, "unclosed comment; write {{/* ... */}}")
    closing = _COMMENT_END.match(source, stop + 2)
    if closing is None:
        raise located(name, source, stop, "comment ends before closing delimiter; nothing may follow it in its action")
    return closing.end(), len(closing[0]) > 2


def _inside(name: str, source: str, pos: int) -> Iterator[Token]:
    """Tokens of an action up to its closing one, whose text tells whether it trims."""
    while True:
        if source.startswith("}}", pos):
            yield Token("close", "}}", pos)
            return
        match = _TOKEN.match(source, pos)
        if match is None:
            rest = source[pos : pos + 1]
            message = (
                _UNFINISHED.get(rest, f"unexpected {rest!r} in an action")
                if rest
                else "unclosed action; close it with }}"
            )
            raise located(name, source, pos, message)
        kind, text = str(match.lastgroup), match[0]
        if kind == "space" and source.startswith("-}}", match.end()):
            yield Token("close", text + "-}}", pos)
            return
        after = source[match.end() : match.end() + 1]
        if kind in {"field", "variable", "word"} and after and after not in _ENDS:
            raise located(name, source, match.end(), f"bad character {after!r} after {text}; put a space between them")
        yield Token(kind, text, pos)
        pos = match.end()
