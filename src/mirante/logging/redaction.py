"""Secrets and personal data, kept out of log lines: by the name of a field and by what its text looks like.

What a line holds is brought down to JSON's own types on the way, within bounds: what leaves here is safe to keep, to
encode later and to show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

HIDDEN = "[redacted]"

_SCALARS = frozenset({int, float, bool, type(None)})
_DEEPEST = 8
_WIDEST = 1000
"""Values inside one field; what is beyond is left out, and said."""
_REMEMBERED = 4096
_SHORT = 64


class Pattern(NamedTuple):
    """Something in a text that must not be seen.

    Attributes:
        regex: finds it.
        replacement: stands in its place; may refer to the regex's groups.
        needles: when there are any, the regex is tried only on texts that contain one of them.
        check: a last look at what was found; false leaves it where it is.
    """

    regex: re.Pattern[str]
    replacement: str = HIDDEN
    needles: tuple[str, ...] = ()
    check: Callable[[str], bool] | None = None


def luhn(text: str) -> bool:
    """Whether the digits in it have the check digit of a payment card (ISO/IEC 7812-1, annex B).

    Example:
        >>> luhn("4111 1111 1111 1111"), luhn("4111 1111 1111 1112")
        (True, False)
    """
    digits = [int(char) for char in reversed(text) if char in "0123456789"]
    doubled = (digit * 2 for digit in digits[1::2])
    return (sum(digits[::2]) + sum(digit - 9 if digit > 9 else digit for digit in doubled)) % 10 == 0


PATTERNS = (
    Pattern(
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        needles=("PRIVATE KEY",),
    ),
    Pattern(re.compile(r"(://[^/\s:@]{0,256}:)[^/\s@]{1,1024}(?=@)"), r"\1" + HIDDEN, ("://",)),
    Pattern(re.compile(r"\beyJ[\w-]{8,2048}\.[\w-]{8,8192}\.[\w-]*"), needles=("eyJ",)),
    Pattern(
        re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]{8,}"), r"\1 " + HIDDEN, ("earer ", "asic ", "EARER ", "ASIC ")
    ),
    Pattern(
        re.compile(
            r"(?i)((?:passw(?:or)?d|passphrase|pwd|secret|token|api[_-]?key|authorization)[\"']?\s?[=:]\s?[\"']?)"
            r"(?!\[redacted\]|(?:bearer|basic) )[^\s&\"',;})\]]+"
        ),
        r"\1" + HIDDEN,
        ("=", ":"),
    ),
    Pattern(
        re.compile(r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|xox[abeoprs]-[\w-]{10,}|sk[-_][\w-]{16,})"),
        needles=("AKIA", "gh", "xox", "sk-", "sk_"),
    ),
    Pattern(re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), "[redacted e-mail]", ("@",)),
    Pattern(re.compile(r"\b\d(?<![.-]\d)(?:[ -]?\d){12,18}(?![\w-])"), "[redacted card]", check=luhn),
)
"""Private keys, passwords in URLs, JWTs, credentials in headers and ``key=value``, well-known tokens, e-mail, cards."""

KEYS = frozenset({
    "password", "passwd", "passphrase", "pwd", "secret", "secrets", "credential", "credentials", "authorization",
    "apikey", "cookie", "cookies", "cvv", "cvc", "ssn", "iban", "passport", "phone",
})  # fmt: skip
"""Words that make a field secret wherever they stand in its name."""

KEY_ENDINGS = (
    " token", " api key", " private key", " access key", " signing key", " encryption key", " card number",
    " credit card",
)  # fmt: skip
"""Words that make it so at its end: ``access_token``, but not ``token_count``."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


class Redactor:
    """Cleans the fields of log lines.

    Args:
        keys: further secret names, whole.
        patterns: further regular expressions.
        max_text: characters of one text at most; the rest is cut off, and said.

    Example:
        >>> fields = {"event": "login of ann@example.com", "password": "x", "max_tokens": 7}
        >>> Redactor().clean(fields)
        >>> fields
        {'event': 'login of [redacted e-mail]', 'password': '[redacted]', 'max_tokens': 7}
    """

    def __init__(
        self, keys: Iterable[str] = (), patterns: Iterable[str | re.Pattern[str]] = (), *, max_text: int = 65_536
    ) -> None:
        self._own = frozenset(key.lower() for key in keys)
        self._patterns = (*PATTERNS, *(Pattern(re.compile(regex)) for regex in patterns))
        self._without_needles = tuple(pattern for pattern in self._patterns if not pattern.needles)
        needles = (re.escape(needle) for pattern in self._patterns for needle in pattern.needles)
        self._any_needle = re.compile("|".join(needles)).search
        self._max_text = max_text
        # Names and texts repeat from line to line: of what was looked at before, what need not be looked at again.
        self._open: set[str] = set()
        self._harmless: set[str] = set()

    def clean(self, fields: dict[str, Any]) -> None:
        """Hide what must not be seen and bring the rest down to plain values, in place."""
        open_names, harmless = self._open, self._harmless
        for key, value in fields.items():
            if key not in open_names and self.hides(key):
                fields[key] = HIDDEN
                continue
            kind = type(value)
            if kind is str:
                if value not in harmless:
                    fields[key] = self._text(value)
            elif kind not in _SCALARS:
                fields[key] = self._plain(value, [_WIDEST], 0)

    def hides(self, key: str) -> bool:
        """Whether a field of that name is secret."""
        if key in self._open:
            return False
        words = [word.lower() for word in _WORDS.findall(key)]
        if key.lower() in self._own or not KEYS.isdisjoint(words) or f" {' '.join(words)}".endswith(KEY_ENDINGS):
            return True
        _remember(self._open, key)
        return False

    def _text(self, value: str) -> str:
        cleaned = self.text(value)
        if cleaned is value and len(value) <= _SHORT:
            _remember(self._harmless, value)
        return cleaned

    def text(self, value: str) -> str:
        """A text without what must not be seen, and not longer than allowed.

        Example:
            >>> Redactor().text("GET https://ann:pw1@db/?token=abc")
            'GET https://ann:[redacted]@db/?token=[redacted]'
        """
        if len(value) > self._max_text:
            value = f"{value[: self._max_text]}… ({len(value) - self._max_text} characters more)"
        patterns = self._patterns if self._any_needle(value) else self._without_needles
        for regex, replacement, needles, check in patterns:
            if needles and not any(needle in value for needle in needles):
                continue
            if regex.search(value):
                value = _replaced(value, regex, replacement, check)
        return value

    def _plain(self, value: object, budget: list[int], depth: int) -> Any:  # noqa: ANN401 - any plain value
        """A value as JSON's own types; never raises, whatever the host's objects do."""
        budget[0] -= 1
        if isinstance(value, str):
            return self.text(str.__str__(value))
        for kind in (bool, int, float):
            if isinstance(value, kind):
                return kind(value)
        if value is not None:
            return self._nested(value, budget, depth)
        return None

    def _nested(self, value: object, budget: list[int], depth: int) -> Any:  # noqa: ANN401 - any plain value
        if depth < _DEEPEST and budget[0] > 0:
            try:
                if isinstance(value, Mapping):
                    return self._mapping(value, budget, depth)
                if isinstance(value, list | tuple | set | frozenset):
                    return self._sequence(value, budget, depth)
            except Exception:  # noqa: BLE001 - such as a dict that another thread changes: shown as text
                return self.text(shown(value))
        return self.text(shown(value))

    def _mapping(self, value: Mapping[Any, object], budget: list[int], depth: int) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, item in value.items():
            if budget[0] <= 0:
                out["…"] = f"{len(value) - len(out)} more"
                break
            name = key if isinstance(key, str) else shown(key)
            out[name] = HIDDEN if self.hides(name) else self._plain(item, budget, depth + 1)
        return out

    def _sequence(self, value: Any, budget: list[int], depth: int) -> list[Any]:  # noqa: ANN401 - any sized iterable
        out: list[Any] = []
        for item in value:
            if budget[0] <= 0:
                out.append(f"… {len(value) - len(out)} more")
                break
            out.append(self._plain(item, budget, depth + 1))
        return out


def _remember(known: set[str], text: str) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known.add(text)


def _replaced(value: str, regex: re.Pattern[str], replacement: str, check: Callable[[str], bool] | None) -> str:
    if check is None:
        return regex.sub(replacement, value)
    return regex.sub(lambda found: replacement if check(found[0]) else found[0], value)


def shown(value: object) -> str:
    """A value as text: bytes as UTF-8, exceptions and the like by their ``str``, others by their ``repr``.

    Example:
        >>> from pathlib import Path
        >>> shown(b"ok"), shown(Path("/tmp")), shown(ValueError("no")), shown(print)
        ('ok', '/tmp', 'no', '<built-in function print>')
    """
    try:
        if isinstance(value, bytes | bytearray):
            return value.decode("utf-8", "backslashreplace")
        own = type(value).__str__ is not object.__str__
        return str(value) if own else repr(value)
    except Exception as error:  # noqa: BLE001 - the host's own __str__ may do anything
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"
