"""JSON and console formatters, redaction and plain values."""

from __future__ import annotations

import json
import math
import re
import sys
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.logging import ConsoleFormatter, JsonFormatter, LogLine, Redactor
from mirante.logging.exceptions import exc_info_of, exception_field
from mirante.logging.formatter import _Members
from mirante.logging.line import timestamp
from mirante.logging.redaction import luhn

TEXT = st.text(st.characters(codec=None))  # lone surrogates too
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)


def expected(value: Any) -> Any:
    """What JSON makes of a plain value."""
    if isinstance(value, dict):
        return {name: expected(item) for name, item in value.items()}
    if isinstance(value, list):
        return [expected(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def encoders(monkeypatch: pytest.MonkeyPatch) -> list[JsonFormatter]:
    """A formatter for each JSON encoder that may be there."""
    found = [JsonFormatter()]
    monkeypatch.setitem(sys.modules, "orjson", None)
    return [*found, JsonFormatter()]


@given(fields=st.dictionaries(TEXT, PLAIN), logger=TEXT, level=st.integers(1, 60))
@settings(max_examples=100)
def test_json_lines_are_json_whatever_the_values_and_the_encoder(
    fields: dict[str, Any], logger: str, level: int
) -> None:
    """One line, which any parser reads back as what went in."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for formatter in encoders(monkeypatch):
            text = formatter(LogLine(0, level, logger, {"event": "e", **fields}))
            assert "\n" not in text
            read = json.loads(text.encode("utf-8", "backslashreplace"))
            assert read.pop("timestamp") == "1970-01-01T00:00:00.000000Z" or "timestamp" in fields
            own = {"level": read.get("level"), "logger": logger, "event": "e", **expected(fields)}
            assert {**read, "level": own["level"]} == {k: v for k, v in own.items() if k != "timestamp"}


@given(st.lists(st.integers(-(1 << 55), 1 << 62), min_size=1, max_size=5))
def test_timestamps_are_right_in_whatever_order_they_come(times: list[int]) -> None:
    """The last second is remembered; a line of another one, before or after it, is not mistaken for it."""
    for time_ns in (at + near for at in times for near in (0, 999, 1_000, -1, 1_000_000_000)):
        micros = (time_ns // 1000) % 1_000_000
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ns // 1_000_000_000))
        assert timestamp(time_ns) == f"{seconds}.{micros:06}Z"


def test_numbers_too_long_for_decimal_digits_are_hexadecimal_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python refuses to write more than 4300 digits."""
    for formatter in encoders(monkeypatch):
        read = json.loads(formatter(LogLine(0, 20, "a", {"event": "e", "n": 1 << 20_000, "x": [math.inf]})))
        assert int(read["n"], 16) == 1 << 20_000
        assert read["x"] == [None]


def test_memory_of_loggers_is_bounded() -> None:
    """Loggers named after something that varies do not pile up."""
    formatter = JsonFormatter()
    for number in range(4097):
        formatter(LogLine(0, 20, str(number), {"event": "e"}))
    assert len(formatter._heads) == 1


def test_memory_of_names_and_texts_is_bounded() -> None:
    """What is remembered of them starts anew at a limit, and lines stay right on both sides of it."""
    members = _Members()
    for number in range(4098):
        line = members.write({f"k{number}": f"v{number}", f"n{number}": number})
        assert line == f',"k{number}":"v{number}","n{number}":{number}}}'
    members.write({"k": "v" * 32})
    assert len(members._names) == len(members._texts) == 2


def test_values_that_are_equal_are_not_taken_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """1, 1.0 and true are, in Python, and so are texts and texts of a class of their own."""
    for formatter in encoders(monkeypatch):
        for value, written in ((1, "1"), (True, "true"), (1.0, "1.0"), ("1", '"1"'), (None, "null"), ([1], "[1]")):
            assert formatter(LogLine(0, 20, "a", {"v": value})).endswith(f',"v":{written}}}')


def test_an_empty_line_is_json_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor may take every field away."""
    for formatter in encoders(monkeypatch):
        assert json.loads(formatter(LogLine(0, 20, "a", {})))["logger"] == "a"


def test_console_lines_cannot_be_forged() -> None:
    """Control characters are shown, not sent to the terminal; stack traces keep their line breaks."""
    shown = ConsoleFormatter(colors=False)
    fields = {"event": "a\nb\x1b[31m", "v": "c\nd", "exception": {"stacktrace": "one\ntwo\x07"}}
    assert shown(LogLine(0, 20, "shop", fields)) == (
        "1970-01-01T00:00:00.000000Z [info     ] a\\nb\\x1b[31m                   [shop] v='c\\nd'\none\ntwo\\x07"
    )
    assert "exc" in shown(LogLine(0, 20, "shop", {"event": "e", "exception": "exc"}))
    assert "\x1b[" in ConsoleFormatter(colors=True)(LogLine(0, 40, "shop", {"event": "e"}))


SECRETS = [
    ("login of ann@example.com", "login of [redacted e-mail]"),
    ("card 4111 1111-1111 1111.", "card [redacted card]."),
    ("not a card 4111111111111112", "not a card 4111111111111112"),
    ("postgres://ann:pw1@db:5432/x", "postgres://ann:[redacted]@db:5432/x"),
    ("Authorization: Bearer abcdefgh12", "Authorization: Bearer [redacted]"),
    ("GET /a?token=abc&x=1", "GET /a?token=[redacted]&x=1"),
    ('{"db_password": "abc", "n": 1}', '{"db_password": "[redacted]", "n": 1}'),
    ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2ln", "jwt [redacted]"),
    ("key AKIAABCDEFGHIJKLMNOP", "key [redacted]"),
    ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----.", "[redacted]."),
    ("-----BEGIN PRIVATE KEY-----\nabc", "[redacted]"),
    ("max_tokens: 17 at 12:30", "max_tokens: 17 at 12:30"),
    ("commit 1234567890123", "commit 1234567890123"),
]


@pytest.mark.parametrize(("text", "clean"), SECRETS)
def test_secrets_in_texts_are_hidden(text: str, clean: str) -> None:
    """By what they look like, wherever they stand; what only looks alike stays."""
    fields = {"event": text, "deep": {"list": [text]}, "error": ValueError(text)}
    Redactor().clean(fields)
    assert fields == {"event": clean, "deep": {"list": [clean]}, "error": clean}


@pytest.mark.parametrize(
    "part", ["a", "a=", "eyJa-", "-", "://a:", "1 ", "-----BEGIN ", "a@", "gh", "password=", "basic "]
)
def test_no_text_makes_the_search_slow(part: str) -> None:
    """A log line must not stop the host, whoever wrote what is in it."""
    begun = time.process_time()
    Redactor().text(part * (60_000 // len(part)) + "@=:eyJ gh PRIVATE KEY")
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("password", True), ("dbPassword", True), ("PASSWORD_HASH", True), ("client-secret", True),
        ("access_token", True), ("csrfToken", True), ("X-Api-Key", True), ("credit_card", True), ("COOKIE", True),
        ("token_count", False), ("max_tokens", False), ("key", False), ("passenger", False), ("monkey", False),
        ("colour", True),
    ],
)  # fmt: skip
def test_secrets_are_hidden_by_name(name: str, hidden: bool) -> None:
    """At any depth, whatever the value, and by names of one's own."""
    redactor = Redactor(["Colour"])
    for _ in range(2):
        fields: dict[str, Any] = {name: 1, "deep": {name: [1]}}
        redactor.clean(fields)
        assert fields == {name: "[redacted]" if hidden else 1, "deep": {name: "[redacted]" if hidden else [1]}}


def test_own_patterns_add_to_the_usual_ones() -> None:
    """As text or compiled."""
    assert Redactor(patterns=["order-\\d+", re.compile("x{3}")]).text("order-17 xxx") == "[redacted] [redacted]"


@given(st.lists(st.integers(0, 9), min_size=12, max_size=18))
def test_luhn_finds_every_card_number(digits: list[int]) -> None:
    """Exactly one last digit makes a number valid."""
    text = "".join(map(str, digits))
    assert sum(luhn(f"{text}{last}") for last in range(10)) == 1


class Hostile:
    """Raises whatever one does with it."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class Changing(Mapping[str, int]):
    """Fails in the middle of an iteration, as a dict does that another thread changes."""

    def __getitem__(self, key: str) -> int:
        raise RuntimeError("changed")

    def __iter__(self) -> Any:
        return iter(["a"])

    def __len__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "Changing()"


class Text(str):
    """A text of a class of its own."""

    __slots__ = ()


def test_values_of_any_type_become_plain() -> None:
    """Texts, numbers, lists and dicts; what is too deep, too wide or hostile is shown as text."""
    loop: list[Any] = []
    loop.append(loop)
    fields: dict[str, Any] = {
        "text": Text("t"), "bytes": b"\xff", "tuple": (1, True, None, 2.5), "set": {1}, "decimal": Decimal("1.5"),
        "hostile": Hostile(), "changing": Changing(), "keys": {1: 2, None: Text("x")}, "loop": loop,
        "wide": list(range(2000)), "wide_dict": dict.fromkeys(range(2000), 0), "type": int,
    }  # fmt: skip
    redactor = Redactor()
    redactor.clean(fields)
    json.dumps(fields)
    assert type(fields["text"]) is str
    assert fields["bytes"] == "\\xff"
    assert fields["tuple"] == [1, True, None, 2.5]
    assert fields["set"] == [1]
    assert fields["decimal"] == "1.5"
    assert fields["hostile"] == "<Hostile that cannot be shown: RuntimeError>"
    assert fields["changing"] == "Changing()"
    assert fields["keys"] == {"1": 2, "None": "x"}
    assert str(fields["loop"]).count("[") < 20
    assert fields["wide"][-1] == "… 1001 more"
    assert fields["wide_dict"]["…"] == "1001 more"
    assert fields["type"] == "<class 'int'>"


def test_long_texts_are_cut_and_memory_is_bounded() -> None:
    """And say so."""
    redactor = Redactor(max_text=10)
    assert redactor.text("a" * 12) == "aaaaaaaaaa… (2 characters more)"
    for number in range(4097):
        redactor.clean({f"k{number}": f"v{number}"})
    assert len(redactor._harmless) == len(redactor._open) == 1


def test_exceptions_of_any_kind_become_fields() -> None:
    """With the module in front of the type, a bounded stack trace, and no trust in ``str``."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    field = exception_field((Broken, Broken(), None))
    assert field["type"] == f"{__name__}.{Broken.__qualname__}"
    assert field["message"] == "<cannot be shown: RuntimeError>"
    long = exception_field((ValueError, ValueError("x" * 50_000), None))["stacktrace"]
    assert re.search("x\n… 17244 characters …\nx", long)


def test_exc_info_means_what_the_standard_library_means() -> None:
    """True outside of an exception is none."""
    error = ValueError("no")
    assert exc_info_of((ValueError, error, None)) == (ValueError, error, None)
    assert exc_info_of(True) is None
    assert exc_info_of((None, None, None)) is None
