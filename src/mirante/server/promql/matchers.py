"""Label matchers applied to label sets at hand. Regular expressions are RE2's, run by Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mirante.errors import BadQueryError
from mirante.server.store.api import Matcher


def matches(labels: Mapping[str, str], matchers: Sequence[Matcher]) -> bool:
    """Whether a label set fulfils all matchers; a missing label is the empty string.

    Raises:
        BadQueryError: a regular expression that RE2 does not take.

    Example:
        >>> matches({"job": "api"}, [Matcher("job", "=~", "a.*"), Matcher("env", "=", "")])
        True
    """
    return all(_match(labels.get(matcher.name, ""), matcher) for matcher in matchers)


def metric_of(matchers: Iterable[Matcher]) -> str | None:
    """The one metric that a selector asks for, if it says which.

    Example:
        >>> metric_of([Matcher("__name__", "=", "up"), Matcher("job", "!=", "")])
        'up'
    """
    return next((matcher.value for matcher in matchers if matcher.name == "__name__" and matcher.op == "="), None)


def _match(value: str, matcher: Matcher) -> bool:
    if matcher.op in {"=", "!="}:
        return (value == matcher.value) == (matcher.op == "=")
    try:
        found = pc.match_substring_regex(pa.scalar(value), f"^(?s:{matcher.value})$").as_py()
    except pa.ArrowInvalid as error:
        raise BadQueryError(f"invalid regular expression {matcher.value!r}: {error}") from None
    return bool(found) == (matcher.op == "=~")
