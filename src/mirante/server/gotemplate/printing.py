"""How Go's package ``fmt`` prints a value under a verb.

Source: pkg.go.dev/fmt, "Printing".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from mirante.server.gotemplate.values import Struct, stringer, type_name

_INT_BASES = {"d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_INT_MARKS = {"b": "0b", "o": "0", "O": "0o", "x": "0x", "X": "0X"}
_ESCAPES = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 92: r"\\"}
_DEEPEST = 50


class Spec(NamedTuple):
    """One verb with its flags; None where a number is not given."""

    verb: str = "v"
    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    width: int | None = None
    precision: int | None = None


class Printer:
    """Collects printed text up to a number of characters.

    Args:
        most: characters that may be collected.
    """

    __slots__ = ("_parts", "_room")

    def __init__(self, most: int) -> None:
        self._parts: list[str] = []
        self._room = most

    def text(self, text: str) -> None:
        """Take text as it is.

        Raises:
            ValueError: it is too much.
        """
        self._room -= len(text)
        if self._room < 0:
            raise ValueError("the text becomes too long")
        self._parts.append(text)

    def result(self) -> str:
        """All of it."""
        return "".join(self._parts)

    def value(self, value: object, spec: Spec, depth: int = 0) -> None:
        """Print one value.

        Raises:
            ValueError: it is too much text, or too deep.
        """
        if depth > _DEEPEST:
            raise ValueError(f"the value is more than {_DEEPEST} levels deep")
        own = stringer(value) if spec.verb in "vsqxX" and not (spec.verb == "v" and spec.sharp) else None
        if own is not None:
            self.text(_string(own, spec))
        elif isinstance(value, Mapping):
            self._mapping(value, spec, depth)
        elif isinstance(value, Struct):
            self._struct(value, spec, depth)
        elif isinstance(value, (list, tuple)):
            self._list(value, spec, depth)
        else:
            # A nested value without a type costs something too: lists of nothing must come to an end.
            self._room -= 1
            self.text(scalar(value, spec, depth))

    def _mapping(self, value: Mapping[str, object], spec: Spec, depth: int) -> None:
        sharp = _is_source(spec)
        self.text(type_name(value) + "{" if sharp else "map[")
        for index, key in enumerate(sorted(value)):
            if index:
                self.text(", " if sharp else " ")
            self.value(key, spec, depth + 1)
            self.text(":")
            self.value(value[key], spec, depth + 1)
        self.text("}" if sharp else "]")

    def _struct(self, value: Struct, spec: Spec, depth: int) -> None:
        sharp = _is_source(spec)
        self.text(type_name(value) + "{" if sharp else "{")
        for index, (name, attribute) in enumerate(value.go_fields.items()):
            if index:
                self.text(", " if sharp else " ")
            if sharp or (spec.plus and spec.verb == "v"):
                self.text(name + ":")
            self.value(getattr(value, attribute), spec, depth + 1)
        self.text("}")

    def _list(self, value: list[object] | tuple[object, ...], spec: Spec, depth: int) -> None:
        sharp = _is_source(spec)
        self.text(type_name(value) + "{" if sharp else "[")
        for index, one in enumerate(value):
            if index:
                self.text(", " if sharp else " ")
            self.value(one, spec, depth + 1)
        self.text("}" if sharp else "]")


def _is_source(spec: Spec) -> bool:
    return spec.verb == "v" and spec.sharp


def scalar(value: object, spec: Spec, depth: int = 0) -> str:
    """Print text, a number, a truth value or nil."""
    if value is None:
        if spec.verb == "v":
            return _padded("interface {}(nil)" if spec.sharp and depth else "<nil>", spec._replace(zero=False))
        return f"%!{spec.verb}(<nil>)"
    printed: str | None = None
    if isinstance(value, bool):
        printed = _padded("true" if value else "false", spec._replace(zero=False)) if spec.verb in "tv" else None
    elif isinstance(value, int):
        printed = _int(value, spec)
    elif isinstance(value, float):
        printed = _float(value, spec)
    elif isinstance(value, str) and spec.verb in "vsxXq":
        printed = _string(value, spec)
    return f"%!{spec.verb}({type_name(value)}={scalar(value, Spec())})" if printed is None else printed


def _padded(text: str, spec: Spec) -> str:
    missing = (spec.width or 0) - len(text)
    if missing <= 0:
        return text
    if spec.minus:
        return text + " " * missing
    return ("0" if spec.zero else " ") * missing + text


def _signed(sign: str, digits: str, spec: Spec) -> str:
    """A number with its sign; zeros for its width go between the two."""
    if spec.zero and not spec.minus and spec.width is not None:
        digits = digits.rjust(spec.width - len(sign), "0")
    return _padded(sign + digits, spec._replace(zero=False))


def _sign(negative: bool, spec: Spec) -> str:
    return "-" if negative else "+" if spec.plus else " " if spec.space else ""


def _int(value: int, spec: Spec) -> str | None:
    match spec.verb:
        case "v":
            # A plus asks %v for the names of fields, not for a sign.
            return _int(value, spec._replace(verb="d", plus=False, sharp=False))
        case "c":
            return _padded(_rune(value), spec)
        case "q":
            return _padded(quoted_rune(value, ascii_only=spec.plus), spec)
        case "U":
            return _unicode(value, spec)
    if spec.verb not in _INT_BASES:
        return None
    digits = format(abs(value), _INT_BASES[spec.verb])
    if spec.precision is not None:
        digits = "" if spec.precision == 0 and value == 0 else digits.rjust(spec.precision, "0")
        spec = spec._replace(zero=False)
    sign = _sign(value < 0, spec)
    if spec.zero and spec.width is not None:
        digits = digits.rjust(spec.width - len(sign), "0")
    if (spec.sharp and spec.verb in _INT_MARKS) or spec.verb == "O":
        mark = _INT_MARKS[spec.verb]
        digits = digits if mark == "0" and digits.startswith("0") else mark + digits
    return _padded(sign + digits, spec._replace(zero=False))


def _rune(value: int) -> str:
    return chr(value) if 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000 else "\ufffd"


def _unicode(value: int, spec: Spec) -> str:
    text = f"U+{value & 0xFFFFFFFFFFFFFFFF:0{max(spec.precision or 4, 4)}X}"
    if spec.sharp and _rune(value).isprintable():
        text += f" '{_rune(value)}'"
    return _padded(text, spec._replace(zero=False))


def _float(value: float, spec: Spec) -> str | None:
    if spec.verb not in "veEfFgGxX":
        return None
    # A plus asks %v for the names of fields, not for a sign.
    plus = spec.plus and spec.verb != "v"
    if math.isnan(value) or math.isinf(value):
        shown = "NaN" if math.isnan(value) else "Inf"
        sign = "-" if value < 0 else "+" if plus or (shown == "Inf" and not spec.space) else " " if spec.space else ""
        if shown == "NaN" and not plus:
            sign = " " if spec.space else ""
        return _padded(sign + shown, spec._replace(zero=False))
    negative = math.copysign(1, value) < 0
    return _signed(_sign(negative, spec._replace(plus=plus)), _digits(abs(value), spec), spec)


def _digits(size: float, spec: Spec) -> str:
    verb, precision = spec.verb, spec.precision
    if verb in "vgG":
        text = _shortest(size) if precision is None else format(size, f".{max(precision, 1)}g")
        text = (
            _kept_zeros(text, size, 6 if precision is None else max(precision, 1))
            if spec.sharp and verb != "v"
            else text
        )
        return text.upper() if verb == "G" else text
    if verb in "xX":
        text = _hexadecimal(size)
        return text.upper() if verb == "X" else text
    return format(size, f".{6 if precision is None else precision}{verb}")


def _kept_zeros(text: str, size: float, precision: int) -> str:
    return format(size, f"#.{precision}g") if "." not in text or "e" not in text else text


def _shortest(size: float) -> str:
    """``%g`` with as few digits as tell the number from its neighbours."""
    _, digits, exponent = Decimal(repr(size)).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - a finite number
    point = len(digits) + exponent - 1
    if size == 0 or -4 <= point < 6:
        text = f"{Decimal(repr(size)):f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa = "".join(map(str, digits))
    fraction = f".{mantissa[1:]}" if len(mantissa) > 1 else ""
    return f"{mantissa[0]}{fraction}e{'-' if point < 0 else '+'}{abs(point):02}"


def _hexadecimal(size: float) -> str:
    mantissa, _, exponent = size.hex().removeprefix("0x").partition("p")
    sign, power = exponent[0], exponent[1:]
    return f"0x{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}p{sign}{power:0>2}"


def _string(text: str, spec: Spec) -> str:
    match spec.verb:
        case "q":
            text = text if spec.precision is None else text[: spec.precision]
            raw = spec.sharp and "`" not in text and all(c == "\t" or c.isprintable() for c in text)
            return _padded(f"`{text}`" if raw else quoted(text, ascii_only=spec.plus), spec)
        case "x" | "X":
            return _padded(_hex_bytes(text, spec), spec)
        case "v" if spec.sharp:
            return _padded(quoted(text), spec)
    return _padded(text if spec.precision is None else text[: spec.precision], spec)


def _hex_bytes(text: str, spec: Spec) -> str:
    raw = text.encode("utf-8", "surrogateescape")
    raw = raw if spec.precision is None else raw[: spec.precision]
    mark = "0x" if spec.sharp and raw else ""
    shown = (" " + mark).join(f"{byte:02x}" for byte in raw) if spec.space else raw.hex()
    return (mark + shown).upper() if spec.verb == "X" else mark + shown


def quoted(text: str, *, ascii_only: bool = False) -> str:
    r"""Text as Go's ``strconv.Quote`` writes it.

    Example:
        >>> quoted('a"\n\x01é')
        '"a\\"\\n\\x01é"'
    """
    return '"' + "".join(r"\"" if char == '"' else _escaped(char, ascii_only) for char in text) + '"'


def quoted_rune(number: int, *, ascii_only: bool = False) -> str:
    """A character as Go's ``strconv.QuoteRune`` writes it."""
    char = _rune(number)
    return "'" + (r"\'" if char == "'" else _escaped(char, ascii_only)) + "'"


def _escaped(char: str, ascii_only: bool) -> str:
    number = ord(char)
    if number in _ESCAPES:
        return _ESCAPES[number]
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    if char.isprintable() and (number < 128 or not ascii_only):
        return char
    if number < 128:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def sprint(arguments: list[object] | tuple[object, ...], most: int) -> str:
    """``fmt.Sprint``: a space between two values of which neither is text.

    Raises:
        ValueError: it would be more than ``most`` characters.

    Example:
        >>> sprint([1, 2, "a", "b", 1234567.0], 100)
        '1 2ab1.234567e+06'
    """
    printer = Printer(most)
    before: object = ""
    for value in arguments:
        if not isinstance(value, str) and not isinstance(before, str):
            printer.text(" ")
        printer.value(value, Spec())
        before = value
    return printer.result()
