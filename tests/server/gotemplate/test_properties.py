"""Whatever the template: a text, or an error of ours."""

from __future__ import annotations

import contextlib
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import TemplateError
from mirante.server.gotemplate import Duration, TemplateSet, Time
from mirante.server.gotemplate.printf import sprintf
from mirante.server.gotemplate.printing import quoted, sprint

TEMPLATES = TemplateSet()
DATA = {"a": 1, "b": {"c": "d<"}, "l": [1.5, "x", None]}
ACTIONS = (
    "{{ }} {{- -}} if with range end else define template block break continue index print printf eq or slice html"
)
OPERANDS = """. .a .b.c .l $ $x := = | ( ) , nil true 1 1.5 "a" `b` 'c' "%d" len not urlquery < > <a href=" " ' /* */"""
WORDS = st.sampled_from(re.split(" ", f"{ACTIONS} {OPERANDS}"))
PLAIN = st.text(st.characters(exclude_categories=["Cs"]))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(1 << 63), (1 << 63) - 1)
FORMATS = st.text("%+-# 0123456789.*[]dsvqxXTtfegUcbo a", max_size=20)
VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3)


@given(text=st.one_of(st.lists(WORDS, max_size=25).map(" ".join), st.text(max_size=40)), html=st.booleans())
def test_any_text_is_rendered_or_refused(text: str, html: bool) -> None:
    """Nothing but a TemplateError ever comes out."""
    with contextlib.suppress(TemplateError):
        assert isinstance(TEMPLATES.render("{{ 1 }}" + text, DATA, html=html), str)


@given(text=PLAIN)
def test_text_without_actions_stays(text: str) -> None:
    """What stands outside of actions is copied."""
    assert TEMPLATES.render(text.replace("{{", "{"), None) == text.replace("{{", "{")


@given(text=PLAIN)
def test_quoted_text_means_itself(text: str) -> None:
    """A literal as Go quotes it is read back."""
    assert TEMPLATES.render(f"{{{{ {quoted(text)} }}}}", None) == text
    assert TEMPLATES.render(f"{{{{ {quoted(text, ascii_only=True)} }}}}", None) == text


@given(number=FINITE | WHOLE)
def test_printed_numbers_mean_themselves(number: float) -> None:
    """A number is printed so that it is read back the same."""
    printed = sprint([number], 1000)
    assert type(number)(printed) == number
    assert TEMPLATES.render(f"{{{{ {printed} }}}}", None) == (printed if number else "0")


@given(number=WHOLE, width=st.integers(0, 30), flags=st.text("-+ 0", max_size=3))
def test_whole_numbers_are_printed_as_c_prints_them(number: int, width: int, flags: str) -> None:
    """The flags and widths of ``%d``, ``%x`` and ``%o`` that C has as well."""
    for verb in "dxXo":
        assert sprintf(f"%{flags}{width or ''}{verb}", [number], 1000) == f"%{flags}{width or ''}{verb}" % number


@given(
    number=FINITE,
    precision=st.integers(0, 20),
    flags=st.text("-+ 0", max_size=3),
)
def test_fractions_are_printed_as_c_prints_them(number: float, precision: int, flags: str) -> None:
    """The same for ``%f``, ``%e`` and ``%g`` with a precision."""
    for verb in "feEgG":
        spec = f"%{flags}25.{precision or 1}{verb}"
        assert sprintf(spec, [number], 1000) == spec % number


@given(template=FORMATS, values=st.lists(VALUES))
def test_any_format_gives_text(template: str, values: list[object]) -> None:
    """What does not fit is said in the text; only its length is bounded."""
    with contextlib.suppress(ValueError):
        assert len(sprintf(template, values, 10_000)) <= 10_000


@given(value=PLAIN)
def test_no_value_leaves_its_place_in_html(value: str) -> None:
    """Neither element text nor a quoted or bare attribute can be broken out of."""
    template = '<p title="{{ . }}" alt=\'{{ . }}\' lang={{ . }}><a href="{{ . }}">{{ . }}</a></p>'
    page = TEMPLATES.render(template, value, html=True)
    assert re.fullmatch(
        r"<p title=\"[^\"<>]*\" alt='[^'<>]*' lang=[^ \t\n\f\r<>\"']+><a href=\"[^\"<>]*\">[^<>]*</a></p>", page
    )
    link = re.findall(r'href="\s*([^":/?#]*):', page)
    assert all(scheme.lower() in {"http", "https", "mailto"} for scheme in link)


@given(nanoseconds=WHOLE)
def test_durations_are_printed_whole(nanoseconds: int) -> None:
    """The parts that are printed add up to the duration."""
    units = {"h": 3600e9, "m": 60e9, "s": 1e9, "ms": 1e6, "µs": 1e3, "ns": 1}
    printed = Duration(nanoseconds).text()
    total = sum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+)(h|ms|m|s|µs|ns)", printed))
    assert math.isclose(total, abs(nanoseconds), rel_tol=1e-12)
    assert printed.startswith("-") == (nanoseconds < 0)


@given(seconds=st.integers(-62_135_596_800, 253_402_300_799), layout=st.text("0123456789 :-_.,MonJanZ", max_size=12))
def test_any_layout_formats_any_time(seconds: int, layout: str) -> None:
    """A time of the years 1 to 9999 has a text in every layout."""
    assert isinstance(Time(seconds * 1_000_000_000).format(layout), str)


@pytest.mark.parametrize("nanoseconds", [1 << 70, -(1 << 70)])
def test_a_time_beyond_the_calendar_is_an_error(nanoseconds: int) -> None:
    """A year that no calendar has is no crash."""
    with pytest.raises(TemplateError, match="years 1 to 9999"):
        TEMPLATES.render("{{ .Year }}", Time(nanoseconds))
    with pytest.raises(TemplateError, match="years 1 to 9999"):
        TEMPLATES.render("{{ .AddDate 20000 0 0 }}", Time(0))
