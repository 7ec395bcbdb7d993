"""Go's ``fmt.Sprintf``: text with verbs, filled with values."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mirante.server.gotemplate.printing import Printer, Spec
from mirante.server.gotemplate.values import type_name

_VERB = re.compile(
    r"(?P<flags>[-+# 0]*)(?P<windex>\[[^\]]*\])?(?P<width>\*|[0-9]+)?"
    r"(?P<point>\.(?P<pindex>\[[^\]]*\])?(?P<precision>\*|[0-9]*))?(?P<index>\[[^\]]*\])?(?P<verb>.)?",
    re.DOTALL | re.ASCII,
)
_MOST = 1_000_000
"""The widest field that Go takes."""


def sprintf(template: str, arguments: Sequence[object], most: int) -> str:
    """Fill the verbs of a text; what does not fit is said in the text itself, as Go does.

    Raises:
        ValueError: it would be more than ``most`` characters.

    Source: pkg.go.dev/fmt.

    Example:
        >>> sprintf("%5.2f|%-4d|%q|%v", [3.14159, 7, "a", [1, 2]], 100)
        ' 3.14|7   |"a"|[1 2]'
        >>> sprintf("%d %s", ["a"], 100)
        '%!d(string=a) %!s(MISSING)'
    """
    return _Format(template, arguments, most).run()


class _Format:
    def __init__(self, template: str, arguments: Sequence[object], most: int) -> None:
        self.template, self.arguments = template, arguments
        self.printer = Printer(most)
        self.next = 0
        self.reordered = self.bad_index = False

    def run(self) -> str:
        pos = 0
        while (start := self.template.find("%", pos)) >= 0:
            self.printer.text(self.template[pos:start])
            match = _VERB.match(self.template, start + 1)
            assert match is not None  # noqa: S101 - the pattern matches nothing too
            self._verb(match)
            pos = match.end()
        self.printer.text(self.template[pos:])
        if not self.reordered and self.next < len(self.arguments):
            self._extra()
        return self.printer.result()

    def _verb(self, match: re.Match[str]) -> None:
        self.bad_index = False
        self.reordered = self.reordered and self.next < len(self.arguments)
        spec = self._spec(match)
        self._index(match["index"])
        verb = match["verb"]
        if verb is None:
            self.printer.text("%!(NOVERB)")
        elif verb == "%":
            self.printer.text("%")
        elif self.bad_index:
            self.printer.text(f"%!{verb}(BADINDEX)")
        elif self.next >= len(self.arguments):
            self.printer.text(f"%!{verb}(MISSING)")
        else:
            self._print(self.arguments[self.next], spec._replace(verb=verb))
            self.next += 1

    def _print(self, value: object, spec: Spec) -> None:
        if spec.verb == "T":
            value, spec = type_name(value), spec._replace(verb="s")
        self.printer.value(value, spec)

    def _spec(self, match: re.Match[str]) -> Spec:
        flags = match["flags"]
        minus = "-" in flags
        self._index(match["windex"])
        width = self._number(match["width"], "BADWIDTH")
        if width is not None and width < 0:
            width, minus = -width, True
        precision = None
        if match["point"]:
            self._index(match["pindex"])
            precision = self._number(match["precision"] or "0", "BADPREC")
            if precision is not None and precision < 0:
                precision = None
                self.printer.text("%!(BADPREC)")
        return Spec(minus=minus, plus="+" in flags, sharp="#" in flags, space=" " in flags,
                    zero="0" in flags and not minus, width=width, precision=precision)  # fmt: skip

    def _number(self, text: str | None, complaint: str) -> int | None:
        """A width or precision, given in the text or, for ``*``, by the next argument."""
        if text is None:
            return None
        number: object = int(text) if text != "*" and len(text) < 10 else None
        if text == "*" and self.next < len(self.arguments):
            number = self.arguments[self.next]
            self.next += 1
        if type(number) is not int or abs(number) > _MOST:
            self.printer.text(f"%!({complaint})")
            return None
        return number

    def _index(self, text: str | None) -> None:
        """``[n]``: go on with the n-th argument."""
        if not text:
            return
        self.reordered = True
        number = int(text[1:-1]) if text[1:-1].isdecimal() and len(text) < 10 else 0
        if 1 <= number <= len(self.arguments):
            self.next = number - 1
        else:
            self.bad_index = True

    def _extra(self) -> None:
        self.printer.text("%!(EXTRA ")
        for index, value in enumerate(self.arguments[self.next :]):
            if index:
                self.printer.text(", ")
            self.printer.text(type_name(value))
            if value is not None:
                self.printer.text("=")
                self.printer.value(value, Spec())
        self.printer.text(")")
