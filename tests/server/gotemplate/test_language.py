"""The language: what is refused, and where; what newer versions of Go allow; what one template may cost."""

from __future__ import annotations

import pytest

from mirante.errors import TemplateError
from mirante.server.gotemplate import Html, StringList, Struct, TemplateSet
from mirante.server.gotemplate.signature import signature


class Point(Struct):
    """A struct with a method."""

    go_type = "geo.Point"
    go_fields = {"X": "x", "Next": "next"}  # noqa: RUF012 - a constant
    go_methods = {"Double": "double", "Fail": "fail"}  # noqa: RUF012

    def __init__(self, x: int, next_point: Point | None = None) -> None:
        self.x, self.next = x, next_point

    def double(self) -> int:
        """Twice as far."""
        return self.x * 2

    def fail(self) -> int:
        """Nothing that works."""
        raise ValueError("no way")


def sized(text: str, number: int, ratio: float, flag: bool, names: list[str], point: Point) -> str:
    """Takes one of each type."""
    return f"{text}{number}{ratio}{flag}{names}{point.x}"


DATA = {"point": Point(3, Point(4)), "list": [1, 2], "texts": StringList("ab"), "none": None, "f": 1.5}
TEMPLATES = TemplateSet({"sized": sized, "text": lambda: "a", "pair": lambda *numbers: list(numbers)})

REFUSED = [
    ("a\n  {{ nope }}", 2, 6, 'function "nope" not defined'),
    ("{{ $x }}", 1, 4, 'undefined variable "$x"; declare it with $x := before'),
    ("{{ if 0 }}{{ $x := 1 }}{{ else }}{{ $x }}{{ end }}", 1, 37, 'undefined variable "$x"'),
    ("{{ with $x := 1 }}{{ end }}{{ $x }}", 1, 31, 'undefined variable "$x"'),
    ("{{ if }}", 1, 7, "missing value for if"),
    ("{{ }}", 1, 4, "missing value for command"),
    ("{{ if 1 }}", 1, 11, "an {{end}} is missing"),
    ("{{ end }}", 1, 4, "unexpected {{end}}"),
    ("{{ else }}", 1, 4, "unexpected {{else}}"),
    ("{{ if 1 }}{{ else }}{{ else }}{{ end }}", 1, 24, "expected {{end}}; found {{else}}"),
    ("{{ if 1 }}{{ else x }}{{ end }}", 1, 19, "in else"),
    ("{{ range .list }}{{ else if 1 }}{{ end }}", 1, 26, "in else"),
    ("{{ define `a` }}{{ else }}{{ end }}", 1, 20, "unexpected {{else}} in define"),
    ("{{ define `a` }}1{{ end }}{{ define `a` }}2{{ end }}", 1, 30, "multiple definition"),
    ("{{ if 1 }}{{ define `a` }}{{ end }}{{ end }}", 1, 14, "put it at the top of the file"),
    ("{{ define a }}{{ end }}", 1, 11, "name in quotes"),
    ("{{ define `a` 1 }}{{ end }}", 1, 15, "expected }}"),
    ("{{ template }}", 1, 13, "name in quotes"),
    ("{{ template `a` 1", 1, 18, "unclosed action"),
    ("{{ break }}", 1, 4, "{{break}} outside {{range}}"),
    ("{{ range .list }}{{ end }}{{ continue }}", 1, 30, "{{continue}} outside {{range}}"),
    ("{{ range .list }}{{ block `a` . }}{{ break }}{{ end }}{{ end }}", 1, 38, "outside {{range}}"),
    ("{{ 1", 1, 5, "unclosed action; close it with }}"),
    ('{{ "a', 1, 4, "unterminated quoted string"),
    ("{{ `a", 1, 4, "unterminated raw quoted string"),
    ("{{ 'a", 1, 4, "unterminated character constant"),
    ("{{ 'ab' }}", 1, 4, "malformed character constant"),
    ("{{ '' }}", 1, 4, "malformed character constant"),
    (r'{{ "\q" }}', 1, 4, r"invalid escape \q"),
    (r'{{ "\400" }}', 1, 4, r"invalid escape \400"),
    (r'{{ "\ud800" }}', 1, 4, "invalid escape"),
    (r"""{{ "\'" }}""", 1, 4, "invalid escape"),
    ("{{ 08 }}", 1, 4, "bad number syntax"),
    ("{{ 1x }}", 1, 4, "bad number syntax"),
    ("{{ 0x1p99999 }}", 1, 4, "number out of range"),
    ("{{ 1e400 }}", 1, 4, "number out of range"),
    ("{{ 9223372036854775808 }}", 1, 4, "overflows int"),
    (f"{{{{ {'9' * 200} }}}}", 1, 4, "overflows int"),
    ("{{ /* a }}", 1, 4, "unexpected '/'"),
    ("{{/* a }}", 1, 3, "unclosed comment"),
    ("{{/* a */ 1 }}", 1, 8, "comment ends before closing delimiter"),
    ("{{ .a$b }}", 1, 6, "bad character '$' after .a"),
    ("{{ % }}", 1, 4, "unexpected '%' in an action"),
    ("{{ (1 }}", 1, 7, "unclosed left paren"),
    ("{{ 1) }}", 1, 5, "unexpected ')'"),
    ("{{ = }}", 1, 4, "unexpected '='"),
    ("{{ 1(2) }}", 1, 5, "put a space between operands"),
    ('{{ "a".b }}', 1, 4, "unexpected .b after"),
    ("{{ print if }}", 1, 10, "unexpected <if> in an operand"),
    ("{{ 1 | 2 }}", 1, 8, "a value cannot follow |"),
    ("{{ with $a, $b := 1 }}{{ end }}", 1, 11, "too many declarations in with"),
    ("{{ range $a, $b, $c := .list }}{{ end }}", 1, 16, "too many declarations in range"),
    ("{{ if 1 }}" * 100, 1, 0, "levels inside each other"),
    ("{{ if 1 }}" + "{{ else if 1 }}" * 100, 1, 0, "levels inside each other"),
    ("{{ " + "(" * 100 + "1" + ")" * 100 + " }}", 1, 0, "levels inside each other"),
]


@pytest.mark.parametrize(("text", "line", "column", "message"), REFUSED)
def test_what_is_no_template_is_refused(text: str, line: int, column: int, message: str) -> None:
    """The error says where it is, what is wrong and what would be right."""
    with pytest.raises(TemplateError) as caught:
        TEMPLATES.check(text, name="page")
    assert message in str(caught.value)
    assert caught.value.line == line
    assert column in {0, caught.value.column}
    assert str(caught.value).startswith(f"template: page:{line}:{caught.value.column}: ")


FAILING = [
    ("{{ $x = 1 }}", "undefined variable: $x; declare it with $x := before"),
    ("{{ range $x = .list }}{{ end }}", "undefined variable: $x"),
    ("{{ or 1 ($x := 2) }}{{ $x }}", "undefined variable: $x"),
    ("{{ or 1 ($x := 2) }}{{ $x = 3 }}", "undefined variable: $x"),
    ("{{ .point.Y }}", "<.point.Y>: can't evaluate field Y in type geo.Point; it has Double, Fail, Next, X"),
    ("{{ .f.x }}", "can't evaluate field x in type float64"),
    ("{{ .list.x }}", "can't evaluate field x in type []interface {}"),
    ("{{ .point.Double 1 }}", "wrong number of args for Double: want 0 got 1"),
    ("{{ .point.X 1 }}", "X has arguments but is no function"),
    ("{{ .point.Fail }}", "error calling Fail: no way"),
    ("{{ 1 2 }}", "<1>: can't give argument to non-function 1"),
    ("{{ $x := 1 }}{{ $x 2 }}", "can't give argument to non-function $x"),
    ("{{ nil }}", "nil is not a command"),
    ("{{ len }}", "wrong number of args for len: want 1 got 0"),
    ("{{ printf }}", "want at least 1 got 0"),
    ("{{ and }}", "wrong number of args for and: want at least 1 got 0"),
    ("{{ len 1 }}", "error calling len: len of type int"),
    ("{{ len nil }}", "len of nil pointer"),
    ("{{ index .list 2 }}", "error calling index: index out of range: 2"),
    ("{{ index .list nil }}", "cannot index slice/array with nil"),
    ("{{ index .list `a` }}", "cannot index slice/array with type string"),
    ("{{ index . 1 }}", "value has type int; should be string"),
    ("{{ index 1 1 }}", "can't index item of type int"),
    ("{{ index nil 1 }}", "index of untyped nil"),
    ("{{ slice 1 1 }}", "can't slice item of type int"),
    ("{{ slice nil 1 }}", "slice of untyped nil"),
    ("{{ slice `abc` 1 2 3 }}", "too many slice indexes: 3"),
    ("{{ slice `abc` 2 1 }}", "invalid slice index: 2 > 1"),
    ("{{ slice `abc` 4 }}", "index out of range: 4"),
    ("{{ eq 1 1.0 }}", "incompatible types for comparison: int and float64; write whole numbers as 1.0"),
    ("{{ lt 1 `a` }}", "incompatible types for comparison: int and string"),
    ("{{ lt true false }}", "invalid type for comparison: bool"),
    ("{{ eq .list .list }}", "invalid type for comparison: []interface {}"),
    ("{{ eq 1 .list }}", "invalid type for comparison: []interface {}"),
    ("{{ eq 1 }}", "missing argument for comparison"),
    ("{{ range 1.5 }}{{ end }}", "range can't iterate over float64; it can over lists and maps"),
    ("{{ template `nope` }}", 'template "nope" not defined'),
    ("{{ sized 1 1 1.0 true .texts .point }}", "<1>: expected string; found 1"),
    ("{{ sized `a` 1.5 1.0 true .texts .point }}", "expected int; found 1.5"),
    ("{{ sized `a` 1 `x` true .texts .point }}", "expected float64; found `x`"),
    ("{{ sized `a` 1 1 1 .texts .point }}", "expected bool; found 1"),
    ("{{ sized `a` 1 1 true .list .point }}", "wrong type for value; expected []string; got []interface {}"),
    ("{{ sized `a` 1 1 true `x` .point }}", "expected []string; found `x`"),
    ("{{ sized `a` 1 1 true .texts .f }}", "wrong type for value; expected geo.Point; got float64"),
    ("{{ sized `a` 1 1 true .texts nil }}", "invalid value; expected geo.Point"),
    ("{{ .f | sized `a` 1 1 true .texts }}", "<sized `a` 1 1 true .texts>: wrong type for value"),
]


@pytest.mark.parametrize(("text", "message"), FAILING)
def test_what_cannot_be_done_is_an_error(text: str, message: str) -> None:
    """The error has the place, what stands there, and why it cannot be."""
    with pytest.raises(TemplateError) as caught:
        TEMPLATES.render(text, DATA, name="page")
    assert message in str(caught.value)
    assert str(caught.value).startswith("template: page:1:")


NEWER = [
    ("{{ print text text }} {{ printf `%T` . }} {{ printf `%T` .f }}", "aa map[string]interface {} float64"),
    ("{{ range 3 }}{{ . }}{{ end }}", "012"),
    ("{{ with 0 }}a{{ else with 1 }}{{ . }}{{ else }}b{{ end }}", "1"),
    ("{{ eq .none nil }} {{ ne 1 nil }} {{ ne .point nil }}", "true true true"),
    ("{{ sized `a` 1.0 1 true .texts .point }}", "a11.0True['a', 'b']3"),
    ("{{ sized `a` 1 1 true nil .point }}", "a11.0TrueNone3"),
    ("{{ .point.Next.Double }} {{ .point.Next.Next.X }} {{ (.point).X }} {{ text | len }}", "8 <no value> 3 1"),
    ("{{ range .none }}a{{ else }}b{{ end }}{{ range .list }}{{ if true }}{{ break }}{{ end }}x{{ end }}", "b"),
    (
        "{{ printf `%+v` .point }} {{ printf `%#v` .point }}",
        "{X:3 Next:{X:4 Next:<nil>}} geo.Point{X:3, Next:geo.Point{X:4, Next:interface {}(nil)}}",
    ),
    ("{{ html nil }} {{ urlquery nil `a` }}", "&lt;no value&gt; %3Cno+value%3Ea"),
    ("{{ .nope }} {{ .nope.more }} {{ .none.x }}", "<no value> <no value> <no value>"),
    ("{{ define `a` }} {{ end }}{{ define `a` }}1{{ end }}{{ define `a` }} {{ end }}{{ template `a` }}", "1"),
    ('{{ print `a\\xff` }}{{ `b` }} {{ "\\xff\\xc3" }}{{ "\\xa9" }}', "a\\xffb \ufffdé"),
    ('{{ printf `%q %x` "\\xff" "\\xff" }} {{ js "\\x00" }}', '"\\xff" ff \\u0000'),
    (
        "{{ printf `%+.1f|%+v|% v|% f` (index . `inf`) (index . `inf`) (index . `inf`) (index . `inf`) }}",
        "+Inf|+Inf| Inf| Inf",
    ),
    ("{{ printf `%v|%+f|% f|%5.1f|%-6v|` .nan .nan .nan .nan .nan }}{{ .inf }}", "NaN|+NaN| NaN|  NaN|NaN   |+Inf"),
    ("{{ printf `%.99999999999d` 1 }} {{ printf `%c %U` -1 -1 }}", "%!(BADPREC)1 \ufffd U+FFFFFFFFFFFFFFFF"),
    ("{{ printf `%T %T %T` nil .point .list }} {{ printf `%d` .none }}", "<nil> geo.Point []interface {} %!d(<nil>)"),
    ("{{ len (pair 1 2) }}{{ range $i, $v := pair 5 }}{{ $i }}{{ $v }}{{ end }}", "205"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), NEWER)
def test_what_newer_go_and_other_values_give(text: str, expected: str) -> None:
    """Things that the amtool of the corpus does not know or has no data for."""
    assert TEMPLATES.render(text, {**DATA, "inf": float("inf"), "nan": float("nan")}) == expected


COSTLY = [
    ("{{ define `a` }}{{ template `a` }}{{ end }}{{ template `a` }}", "levels deep"),
    ("{{ range 2000000 }}{{ end }}", "too many steps"),
    ("{{ range 1000 }}{{ range 1000 }}a{{ end }}{{ end }}", "too many steps"),
    ("{{ range 1000 }}{{ printf `%5000d` 1 }}{{ end }}", "too long"),
    ("{{ $x := `ab` }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}", "too long"),
    ("{{ $x := `ab` }}{{ range 18 }}{{ $x = print $x $x }}{{ end }}{{ range 9999 }}{{ len $x }}{{ end }}", "too many"),
    ("{{ $x := pair 1 }}{{ range 40 }}{{ $x = pair $x $x }}{{ end }}{{ print $x }}", "too long"),
    ("{{ $x := pair 1 }}{{ range 60 }}{{ $x = pair $x }}{{ end }}{{ print $x }}", "levels deep"),
    ("{{ printf `%1000000d%1000000d` 1 2 }}", "too long"),
    ("{{ range 20000 }}{{ print `" + "a" * 300 + "` }}{{ end }}", "too long"),
]


@pytest.mark.parametrize(("text", "message"), COSTLY)
@pytest.mark.parametrize("html", [False, True])
def test_no_template_costs_more_than_it_may(text: str, message: str, html: bool) -> None:
    """Neither endless loops and calls nor text that doubles and doubles."""
    with pytest.raises(TemplateError, match=message):
        TEMPLATES.render(text, DATA, html=html)


def test_deep_calls_are_an_error_even_where_the_stack_is_short() -> None:
    """Every level of a call may itself be deep."""
    body = "{{ if 1 }}" * 50 + "{{ template `a` }}" + "{{ end }}" * 50
    with pytest.raises(TemplateError, match="deep"):
        TEMPLATES.render(f"{{{{ define `a` }}}}{body}{{{{ end }}}}{{{{ template `a` }}}}", DATA)


def test_templates_of_files_are_called_by_name() -> None:
    """A later file wins, unless what it defines is empty; the file itself has a name as well."""
    templates = TemplateSet()
    templates.parse("one.tmpl", "{{ define `a` }}1{{ end }}plain")
    templates.parse("two.tmpl", "{{ define `a` }} {{ end }}{{ define `b` }}{{ template `a` }}2{{ end }}")
    assert templates.render("{{ template `b` }} {{ template `one.tmpl` }}", None) == "12 plain"
    templates.parse("three.tmpl", "{{ define `a` }}3{{ end }}")
    assert templates.render("{{ template `b` }}{{ define `a` }}4{{ end }}", None) == "42"
    assert templates.render("{{ template `b` }}", None) == "32"
    assert templates.names == ["a", "b", "one.tmpl", "three.tmpl", "two.tmpl"]


def test_functions_and_variables_can_be_given_for_one_rendering() -> None:
    """A function in the place of another, and a variable that nobody declared."""
    text = TEMPLATES.render("{{ text }}{{ $x.a }}", None, functions={"text": lambda: "b"}, variables={"$x": {"a": 1}})
    assert text == "b1"


def test_types_of_a_method_leave_out_its_object() -> None:
    """A bound method takes what stands behind ``self``."""
    assert signature(Point(1).double) == ((), None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p {{ .name }}=1>", "<p ZgotmplZ=1>"),
        ("<p {{ .plain }}=1>", "<p width=1>"),
        ("<p title= >{{ .name }}", "<p title= >onclick x&lt;"),
        ("<p title=\n{{ .name }}>", "<p title=\nonclick&#32;x&lt;>"),
        ("<p title={{ .none }}>", "<p title=ZgotmplZ>"),
        ("<script>f({{ .name }}, {{ .none }})</script>", "<script>f(ZgotmplZ, ZgotmplZ)</script>"),
        ("<p onclick='{{ .name }}'>", "<p onclick='ZgotmplZ'>"),
        ("<p style='{{ .name }}'>", "<p style='ZgotmplZ'>"),
        ("<!-- {{ .name }}{{ .name }} --{{ 1 }}-->x", "x"),
        ("<!-- open", ""),
        ("<title>{{ .html }}</title>", "<title>&lt;b&gt;b&lt;/b&gt;&amp;</title>"),
        ("<p title", "<p title"),
        ("<p title ", "<p title "),
        ("<p title = ", "<p title = "),
        ("<p title='a", "<p title='a"),
        ("<p a=b c>{{ .name }}", "<p a=b c>onclick x&lt;"),
        ("<a href='?{{ urlquery .name }}&{{ .name }}'>", "<a href='?onclick&#43;x%3C&onclick%20x%3c'>"),
        ("<?xml?><!DOCTYPE html>{{ .html }}", "&lt;?xml?><!DOCTYPE html><b>b</b>&amp;"),
        ("<script>open", "<script>open"),
        ("<p/title=1>", "<p/title=1>"),
        ("<a href='{{ `a?b` }}{{ `c&d` }}{{ `` }}'>", "<a href='a?bc&amp;d'>"),
        ("<a href='{{ `` }}{{ `javascript:a` }}'>", "<a href='#ZgotmplZ'>"),
        ("<a href='{{ `java` }}{{ `script:a` }}'>", "<a href='java#ZgotmplZ'>"),
        ("<scr{{ .plain }}>", "<scrZgotmplZ>"),
        ("{{ define `x` }}ipt>{{ end }}<scr{{ template `x` }}{{ .name }}", "<script>ZgotmplZ"),
        ("<a hr{{ .plain }}='{{ .name }}'>", "<a hrZgotmplZ='onclick x&lt;'>"),
        ("<a {{ .plain }}='{{ .name }}'>", "<a width='ZgotmplZ'>"),
    ],
)
def test_html_that_is_not_usual(text: str, expected: str) -> None:
    """Values where nobody should put them do no harm, and half a page is still followed."""
    data = {"name": "onclick x<", "plain": "width", "none": None, "html": Html("<b>b</b>&amp;")}
    text = text if "{{" in text else "{{ `` }}" + text
    assert TEMPLATES.render(text, data, html=True) == expected
