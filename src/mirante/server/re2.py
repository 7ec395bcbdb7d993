"""RE2, the regular expressions of Go's programs, run by Arrow in time that grows with the text and not faster.

Source: github.com/google/re2/wiki/Syntax, and pkg.go.dev/regexp for what is done with them.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})", re.ASCII)
"""``$$``, ``$1`` or ``$name``, ``${1}`` or ``${name}`` in what replaces a match."""
GROUP = re.compile(
    r"""\\Q.*?(?:\\E|\Z) | \\.                  # quoted text and escapes
      | \[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]\\])*\]  # a class of characters
      | (?P<group>\((?:\?P?<(?P<name>\w+)>|(?!\?)))""",
    re.VERBOSE | re.DOTALL,
)
"""What begins a group of a pattern, ``group`` and its ``name``, or is to be passed over so that none is seen in it."""
_MOST_GROUPS = 9


def found(pattern: str, text: str) -> bool:
    """Whether a pattern matches anywhere in a text.

    Raises:
        ValueError: it is no regular expression of RE2.

    Example:
        >>> found("b+", "abc"), found("^b", "abc")
        (True, False)
    """
    try:
        return bool(pc.match_substring_regex(_scalar(text), pattern).as_py())
    except pa.ArrowInvalid as error:
        raise _refused(pattern, error) from None


def replace_all(pattern: str, replacement: str, text: str, most: int) -> str:
    """The text with every match replaced; ``$1``, ``${1}`` and ``${name}`` stand for groups.

    Args:
        pattern: regular expression.
        replacement: what is put in the place of a match.
        text: to look through.
        most: characters that the result may have.

    Raises:
        ValueError: it is no regular expression of RE2, the result would be too long, or the replacement asks for a
            group beyond the ninth.

    Example:
        >>> replace_all("(a)(?P<rest>.)", "${rest}-$1", "abac", 100)
        'b-ac-a'
    """
    rewrite, references = _rewrite(pattern, replacement)
    value = _scalar(text)
    try:
        count = pc.count_substring_regex(value, pattern).as_py()
        if len(text) + count * len(rewrite) + references * len(text) > most:
            raise ValueError("the text becomes too long")
        return str(pc.replace_substring_regex(value, pattern, rewrite).as_py())
    except pa.ArrowInvalid as error:
        raise _refused(pattern, error) from None


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), pa.string())


def _refused(pattern: str, error: pa.ArrowInvalid) -> ValueError:
    reason = str(error).removeprefix("Invalid regular expression: ")
    return ValueError(f'regular expression "{pattern}" cannot be used: {reason}')


def _rewrite(pattern: str, replacement: str) -> tuple[str, int]:
    """The replacement as RE2 writes it, and how many groups it puts in."""
    names = [match["name"] for match in GROUP.finditer(pattern) if match["group"] is not None]
    out, last, count = [], 0, 0
    for match in REFERENCE.finditer(replacement):
        out.append(replacement[last : match.start()].replace("\\", r"\\"))
        last = match.end()
        name = match[2] or match[3]
        number = 0 if name is None else _group(name, names)
        out.append("$" if name is None else "" if number is None else f"\\{number}")
        count += name is not None
    out.append(replacement[last:].replace("\\", r"\\"))
    return "".join(out), count


def _group(name: str, names: list[str | None]) -> int | None:
    """Number of a group; None for one that is not there, which stands for nothing."""
    if not name.isdecimal():
        return names.index(name) + 1 if name in names else None
    number = int(name) if len(name) < 5 else len(names) + 1
    if number > len(names):
        return None
    if number > _MOST_GROUPS:
        raise ValueError(f"a replacement cannot use ${{{name}}}; only the first nine groups of a match")
    return number
