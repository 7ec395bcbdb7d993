"""Reads the Prometheus text format 0.0.4 and OpenMetrics text 1.0.

``parse`` reads a whole page; the smaller functions read one line each, for a caller that keeps what it already knows of
a series. Like Prometheus, it reads each line for itself and does not demand that the lines of a family stand together.

Source: prometheus.io, "Exposition formats"; the OpenMetrics specification, section 5; metric and label names in quotes
as Prometheus 3 has them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from mirante._core.model import Exemplar, Sample
from mirante.errors import FormatError

_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*"
_QUOTED = rb'"((?:[^"\\]++|\\.)*+)"'
_BRACES = rb'\{(?:[^"}]++|"(?:[^"\\]++|\\.)*+")*+\}'
_SERIES = re.compile(rb"(" + _NAME + rb")?+([ \t]*+)(" + _BRACES + rb")|" + _NAME)
_LABEL = re.compile(
    rb"[ \t]*+(?:([a-zA-Z_][a-zA-Z0-9_]*+)|" + _QUOTED + rb")[ \t]*+(=)?[ \t]*+(?:" + _QUOTED + rb")?[ \t]*+"
)
_FAMILY = rb"(?:(" + _NAME + rb")|" + _QUOTED + rb")"
_COMMENT = re.compile(rb"#[ \t]+(HELP|TYPE)[ \t]+" + _FAMILY + rb"(?:[ \t](.*))?")
_COMMENT_OPENMETRICS = re.compile(rb"# (HELP|TYPE|UNIT) " + _FAMILY + rb"(?: (.*))?")
_KEYWORD = re.compile(rb"#[ \t]+(HELP|TYPE)[ \t]")
_MEASURE = re.compile(rb"[ \t]*([^ \t]+)(?:[ \t]+([^ \t]+))?[ \t]*")
_MEASURE_OPENMETRICS = re.compile(rb" ([^ ]+)(?: (?!#)([^ ]+))?(?: # (" + _BRACES + rb") ([^ ]+)(?: ([^ ]+))?)?")
_ESCAPE = re.compile(r'\\([\\"n])')
_UNESCAPED = {"\\": "\\", '"': '"', "n": "\n"}
_NUMBER_BYTES = b"0123456789+-.eEinfatyINFATY"

_TEXT_TYPES = frozenset({"counter", "gauge", "histogram", "summary", "untyped"})
_OPENMETRICS_TYPES = frozenset(
    {"counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"}
)
_MAX_EXEMPLAR_CHARACTERS = 128
_MAX_SECONDS = 2.0**63 / 1000  # the field's int64 of milliseconds


class Metadata(NamedTuple):
    """What the comment lines say about a metric family."""

    type: str = "unknown"
    help: str = ""
    unit: str = ""


class Measure(NamedTuple):
    """What stands behind the series in a sample line; the timestamp in seconds since the Unix epoch."""

    value: float
    timestamp: float | None = None
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A whole exposition.

    Attributes:
        samples: in the order of their lines.
        metadata: by family name, as the TYPE, HELP and UNIT lines write it.
    """

    samples: list[Sample] = field(default_factory=list)
    metadata: dict[str, Metadata] = field(default_factory=dict)


def parse(body: bytes, *, openmetrics: bool = False) -> Page:
    r"""Read a page.

    Args:
        body: UTF-8 text.
        openmetrics: it is OpenMetrics text, which ends with ``# EOF``; otherwise text format 0.0.4.

    Raises:
        FormatError: it breaks the format; the message names the line.

    Example:
        >>> page = parse(b'# TYPE up gauge\nup{job="shop"} 1\n')
        >>> page.samples[0].labels, page.samples[0].value, page.metadata["up"].type
        ({'job': 'shop'}, 1.0, 'gauge')
    """
    page = Page()
    for number, line in enumerate(page_lines(body, openmetrics=openmetrics), 1):
        try:
            text = line if openmetrics else line.lstrip(b" \t")
            if text.startswith(b"#"):
                read_comment(text, page.metadata, openmetrics=openmetrics)
            elif openmetrics or text:
                page.samples.append(_read_sample(text, openmetrics=openmetrics))
        except FormatError as error:
            raise FormatError(f"line {number}: {error}") from None
    return page


def _read_sample(line: bytes, *, openmetrics: bool) -> Sample:
    series, rest = split_sample(line, openmetrics=openmetrics)
    labels = read_series(series)
    return Sample(labels.pop("__name__"), labels, *read_measure(rest, openmetrics=openmetrics))


def page_lines(body: bytes, *, openmetrics: bool) -> list[bytes]:
    """The lines of a page; OpenMetrics without its closing ``# EOF``.

    Raises:
        FormatError: OpenMetrics that was cut short, or goes on after its end.
    """
    if not openmetrics:
        return body.split(b"\n")
    end = body.find(b"# EOF")
    while end > 0 and body[end - 1 : end] != b"\n":
        end = body.find(b"# EOF", end + 1)
    if end < 0:
        raise FormatError('the page does not end with "# EOF": it was cut short or is not OpenMetrics')
    if body[end + 5 :] not in {b"", b"\n"}:
        raise FormatError(f'line {body.count(10, 0, end) + 1}: there is text after "# EOF"')
    return body[:end].split(b"\n")[:-1]


def split_sample(line: bytes, *, openmetrics: bool = False) -> tuple[bytes, bytes]:
    """Cut a sample line where its series (name and labels) ends.

    Raises:
        FormatError: there is no series at its start.

    Example:
        >>> split_sample(b'up{job="a b"} 1 1700000000000')
        (b'up{job="a b"}', b' 1 1700000000000')
    """
    match = _SERIES.match(line)
    if match is None:
        reason = "the labels are not closed by a brace in" if line[:1] == b"{" else "expected a metric name, got"
        raise FormatError(f"{reason} {_show(line)}")
    series, rest = match[0], line[match.end() :]
    if match[3] is None and rest.lstrip(b" \t")[:1] == b"{":
        raise FormatError(f"the labels are not closed by a brace in {_show(line)}")
    if not rest.strip(b" \t"):
        raise FormatError(f"expected a value after {_show(series)}, got the end of the line")
    if match[3] is None and rest[:1] not in b" \t":
        raise FormatError(f"expected a value after {_show(series)}, got {_show(rest)}")
    if openmetrics and match[2]:
        raise FormatError(f"OpenMetrics allows no space before the labels in {_show(series)}")
    return series, rest


def read_series(text: bytes) -> dict[str, str]:
    """Labels of a series text, the metric's name as ``__name__``.

    Raises:
        FormatError: the labels are malformed, or one is given twice.

    Example:
        >>> read_series(b'http_requests_total{code="200",path="/"}')
        {'__name__': 'http_requests_total', 'code': '200', 'path': '/'}
    """
    brace = text.find(b"{")
    if brace < 0:
        return {"__name__": text.decode("ascii")}
    name = text[:brace].rstrip(b" \t").decode("ascii")
    found = {"__name__": name} if name else {}
    _read_labels(text, brace, found)
    if "__name__" not in found:
        raise FormatError(f"expected a metric name before or inside the labels of {_show(text)}")
    return found


def _read_labels(text: bytes, brace: int, found: dict[str, str]) -> None:
    """Add the labels between ``brace`` and the end of the text, a quoted metric name among them."""
    at, end = brace + 1, len(text) - 1
    while text[at:end].strip(b" \t"):
        match = _LABEL.match(text, at, end)
        if match is None:
            raise FormatError(f"expected a label name, got {_show(text[at:end])} in {_show(text)}")
        name = match[1].decode("ascii") if match[1] is not None else _text(match[2])
        if match[3] is None:
            if match[2] is None or match[4] is not None or "__name__" in found:
                raise FormatError(f'expected "=" after label name "{name}" in {_show(text)}')
            found["__name__"] = name
        elif match[4] is None:
            raise FormatError(f'expected a value in double quotes for label "{name}" in {_show(text)}')
        elif name in found:
            raise FormatError(f'label name "{name}" is not unique in {_show(text)}')
        else:
            found[name] = _text(match[4])
        at = match.end()
        if at < end and text[at : at + 1] != b",":
            raise FormatError(f'expected "," or "}}" after label "{name}", got {_show(text[at:end])} in {_show(text)}')
        at += 1


def read_measure(rest: bytes, *, openmetrics: bool = False) -> Measure:
    """Value, timestamp and exemplar: what ``split_sample`` left.

    Raises:
        FormatError: a part is missing, too much, or not a number.

    Example:
        >>> read_measure(b" 5 1700000000500")
        Measure(value=5.0, timestamp=1700000000.5, exemplar=None)
    """
    match = (_MEASURE_OPENMETRICS if openmetrics else _MEASURE).fullmatch(rest)
    if match is None:
        expected = "value, timestamp and exemplar with one space between" if openmetrics else "value and timestamp"
        raise FormatError(f"expected {expected} after the series, got {_show(rest)}")
    value, time = read_float(match[1]), match[2]
    if not openmetrics:
        return Measure(value, None if time is None else _milliseconds(time) / 1000)
    example = None if match[3] is None else _read_exemplar(match[3], match[4], match[5])
    return Measure(value, None if time is None else _seconds(time), example)


def read_float(text: bytes) -> float:
    """A number as Go's ``ParseFloat`` reads it, without hexadecimal digits and underscores.

    Raises:
        FormatError: it is not a number.

    Example:
        >>> read_float(b"1.5e3"), read_float(b"+Inf")
        (1500.0, inf)
    """
    try:
        # Python also takes underscores and white space: only Go's own characters may be there.
        if not text.translate(None, _NUMBER_BYTES):
            return float(text)
    except ValueError:
        pass
    raise FormatError(f"expected a number as the value, got {_show(text)}")


def are_plain_numbers(text: bytes) -> bool:
    """Whether there are only characters of numbers: what ``float`` then takes, ``read_float`` takes."""
    return not text.translate(None, _NUMBER_BYTES)


def read_comment(line: bytes, metadata: dict[str, Metadata], *, openmetrics: bool = False) -> None:
    """Take in what a line that starts with ``#`` says about a family.

    Raises:
        FormatError: a HELP, TYPE or UNIT line is malformed; in OpenMetrics also any other comment.
    """
    match = (_COMMENT_OPENMETRICS if openmetrics else _COMMENT).fullmatch(line)
    if match is None:
        if openmetrics:
            raise FormatError(f"OpenMetrics allows only HELP, TYPE and UNIT comments, got {_show(line)}")
        if (keyword := _KEYWORD.match(line)) is not None:
            raise FormatError(f"expected a metric name after {keyword[1].decode()} in {_show(line)}")
        return
    family = match[2].decode("ascii") if match[2] is not None else _text(match[3])
    known, said = metadata.get(family, Metadata()), match[4] or b""
    if match[1] == b"HELP":
        metadata[family] = known._replace(help=_text(said))
    elif match[1] == b"TYPE":
        metadata[family] = known._replace(type=_type(said, family, openmetrics=openmetrics))
    elif said and not family.endswith("_" + _text(said)):
        raise FormatError(f'unit "{_text(said)}" is not a suffix of metric "{family}"')
    else:
        metadata[family] = known._replace(unit=_text(said))


def _type(said: bytes, family: str, *, openmetrics: bool) -> str:
    kind = said.strip(b" \t").decode("utf-8", "replace")
    if kind not in (_OPENMETRICS_TYPES if openmetrics else _TEXT_TYPES):
        raise FormatError(f'invalid metric type "{kind}" of "{family}"')
    return "unknown" if kind == "untyped" else kind


def _read_exemplar(names: bytes, value: bytes, time: bytes | None) -> Exemplar:
    found: dict[str, str] = {}
    _read_labels(names, 0, found)
    if sum(len(name) + len(text) for name, text in found.items()) > _MAX_EXEMPLAR_CHARACTERS:
        raise FormatError(f"the labels of an exemplar have more than {_MAX_EXEMPLAR_CHARACTERS} characters")
    return Exemplar(found, read_float(value), None if time is None else _seconds(time))


def _milliseconds(text: bytes) -> int:
    try:
        if not text.translate(None, b"0123456789-+") and abs(milliseconds := int(text)) < 1 << 63:
            return milliseconds
    except ValueError:
        pass
    raise FormatError(f"expected a timestamp in whole milliseconds, got {_show(text)}")


def _seconds(text: bytes) -> float:
    seconds = read_float(text)
    if not abs(seconds) < _MAX_SECONDS:
        raise FormatError(f"expected a timestamp in seconds, got {_show(text)}")
    return seconds


def _text(raw: bytes) -> str:
    r"""Undo ``\\``, ``\"`` and ``\n``; another backslash stands for itself, as in Prometheus."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{_show(raw)} is not valid UTF-8") from None
    return _ESCAPE.sub(lambda m: _UNESCAPED[m[1]], text) if "\\" in text else text


def _show(raw: bytes) -> str:
    """A piece of the page for an error message, short and printable."""
    text = raw.decode("utf-8", "backslashreplace").replace("\r", "\\r")
    return f'"{text}"' if len(text) <= 80 else f'"{text[:77]}..."'
