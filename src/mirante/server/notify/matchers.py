"""Conditions on labels as text: Alertmanager's classic syntax and its newer one, in which names are any UTF-8.

Source: prometheus.io, "Alertmanager configuration", section ``matcher``. As there, a text that both syntaxes take means
what the classic one says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from mirante.server.alert import NAME
from mirante.server.notify.model import Matcher, MatchType
from mirante.server.notify.regex import Regex
from mirante.server.promql.parse import unquote

_ORDER: tuple[MatchType, ...] = ("=", "!=", "=~", "!~")
_SPACE = " \t\n\f\r"  # what \s means in Go
_CLASSIC = re.compile(rf"[{_SPACE}]*([a-zA-Z_:][a-zA-Z0-9_:]*)[{_SPACE}]*(=~|=|!=|!~)(.*)", re.DOTALL)
_PIECE = re.compile(r"\\?.", re.DOTALL)
_ESCAPES = {r"\n": "\n", r"\"": '"', r"\\": "\\"}
_ANY_SPACE = f"{_SPACE}\v\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_TOKEN = re.compile(
    rf"""[{_ANY_SPACE}]*(?:
        (?P<mark>[{{}},])
      | (?P<operator>=~|!=|!~|=)
      | (?P<quoted>"(?:\\.|[^"\\\n])*")
      | (?P<plain>[^{{}}!=~,\\"'`{_ANY_SPACE}]+)
      | (?P<end>\Z))""",
    re.VERBOSE,
)


def make_matcher(name: str, type: MatchType, value: str) -> Matcher:
    """A matcher from its parts.

    Raises:
        ValueError: the value of ``=~`` or ``!~`` is no regular expression.

    Example:
        >>> make_matcher("service", "=~", "api|web").matches({"service": "web"})
        True
    """
    return Matcher(name, type, value, Regex(value) if type.endswith("~") else None)


def parse_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of a text such as ``severity="critical"`` or ``{team=~"a|b", "k8s.name"!=x}``, in its order.

    Raises:
        ValueError: neither syntax takes it.

    Example:
        >>> [str(matcher) for matcher in parse_matchers('{a = b, "c d"!~"e.*",}')]
        ['a="b"', '"c d"!~"e.*"']
    """
    try:
        return _parse_classic(text)
    except ValueError as error:
        try:
            return tuple(_parse_new(text))
        except ValueError:
            raise error from None


def parse_matcher(text: str) -> Matcher:
    """The one matcher of a text.

    Raises:
        ValueError: there is none, or more than one, or it cannot be read.

    Example:
        >>> parse_matcher("severity=critical").value
        'critical'
    """
    found = () if text.startswith("{") or text.endswith("}") else parse_matchers(text)
    if len(found) != 1:
        raise ValueError(f'expected one matcher such as severity="critical", got {text!r}')
    return found[0]


def parse_arguments(arguments: Sequence[str]) -> tuple[Matcher, ...]:
    """Matchers as a command line has them; the first argument may be the bare name of the alert.

    Raises:
        ValueError: an argument is no matcher.

    Source: ``amtool alert query``, ``amtool silence add``.

    Example:
        >>> [str(matcher) for matcher in parse_arguments(["DiskFull", "env=prod"])]
        ['alertname="DiskFull"', 'env="prod"']
    """
    named = arguments[:1] if arguments and re.search("[=~{]", arguments[0]) is None else []
    rest = (matcher for text in arguments[len(named) :] for matcher in parse_matchers(text))
    return (*(make_matcher(NAME, "=", name) for name in named), *rest)


def in_order(matchers: Iterable[Matcher]) -> tuple[Matcher, ...]:
    """By name, value and type: Alertmanager's order, on which the identity of a route rests."""
    return tuple(sorted(matchers, key=lambda one: (one.name, one.value, _ORDER.index(one.type))))


def _parse_classic(text: str) -> tuple[Matcher, ...]:
    parts = _split(text.removeprefix("{").removesuffix("}"))
    if not parts[-1].strip():
        parts.pop()
    return tuple(map(_classic_matcher, parts))


def _split(text: str) -> list[str]:
    """The parts between commas that stand outside of double quotes."""
    parts, quoted = [""], False
    for piece in _PIECE.findall(text):
        if piece[-1] == "," and not quoted:  # a backslash does not save it
            parts[-1] += piece[:-1]
            parts.append("")
            continue
        quoted = quoted is not (piece == '"')
        parts[-1] += piece
    return parts


def _classic_matcher(text: str) -> Matcher:
    found = _CLASSIC.fullmatch(text)
    if found is None:
        raise ValueError(f'bad matcher format: {text.strip()!r} (write it like severity="critical")')
    raw = found[3].strip(_SPACE)
    pieces = _PIECE.findall(raw.removeprefix('"'))
    closed = not raw.startswith('"') or (bool(pieces) and pieces.pop() == '"')
    if not closed or '"' in pieces:
        raise ValueError(f"matcher value contains unescaped double quote: {raw}")
    return make_matcher(found[1], _type(found[2]), "".join(_ESCAPES.get(piece, piece) for piece in pieces))


def _parse_new(text: str) -> Iterator[Matcher]:
    tokens = list(_tokens(text))
    kinds = [kind if kind != "mark" else token for kind, token in tokens]
    opened = kinds[0] == "{"
    at = int(opened)
    while kinds[at] in {"plain", "quoted"}:
        (_, name), (kind, operator), (value_kind, value) = (*tokens[at : at + 3], *[("end", "")] * 2)[:3]
        if kind != "operator" or value_kind not in {"plain", "quoted"}:
            raise ValueError(f"expected an operator and a value after {name}")
        yield make_matcher(_text(name), _type(operator), _text(value))
        at += 3
        if kinds[at] != ",":
            break
        at += 1
    if kinds[at:] != (["}", "end"] if opened else ["end"]):
        raise ValueError(f"expected a matcher or the end instead of {tokens[at][1]}")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    """Kind and text of each token; the last one is the end."""
    at, kind = 0, ""
    while kind != "end":
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"unexpected {text[at : at + 10].strip()}")
        at, kind = found.end(), str(found.lastgroup)
        yield kind, found[kind]


def _text(token: str) -> str:
    value = unquote(token) if token.startswith('"') else token
    value.encode()  # refuses bytes that are no UTF-8
    return value


def _type(operator: str) -> MatchType:
    return _ORDER[_ORDER.index(operator)]  # the patterns know no other
