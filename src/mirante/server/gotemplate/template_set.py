"""Templates that know each other by name, and their rendering."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping

from mirante.server.gotemplate.builtins import BUILTINS, MOST, MOST_WRITTEN
from mirante.server.gotemplate.evaluator import Execution
from mirante.server.gotemplate.html import HtmlWriter, UrlQuery
from mirante.server.gotemplate.nodes import Parsed, Template
from mirante.server.gotemplate.parser import parse
from mirante.server.gotemplate.printing import Printer, sprint
from mirante.server.gotemplate.signature import Function

_LOGIC = ("and", "or")


class TextWriter:
    """Writes plain text."""

    def __init__(self) -> None:
        self._printer = Printer(MOST_WRITTEN)
        self.text = self._printer.text

    def value(self, value: object) -> None:
        """Take a value; a nil is ``<no value>``.

        Raises:
            ValueError: it is too much text.
        """
        self.text("<no value>" if value is None else value if type(value) is str else sprint([value], MOST))

    def result(self) -> str:
        """All that was written."""
        return self._printer.result()


def _url_query(*arguments: object) -> str:
    return UrlQuery(BUILTINS["urlquery"](*arguments))


class TemplateSet:
    """Named templates in Go's template language.

    Args:
        functions: beside Go's own, by name. Their annotations are the types that they take (``str``, ``int``,
            ``float``, ``bool``, ``object`` for any, ``Sequence[...]``, a class of values); they fail with a ValueError
            or an exception of mirante's.

    Example:
        >>> templates = TemplateSet({"shout": lambda text: text.upper()})
        >>> templates.parse("greetings.tmpl", '{{ define "hello" }}Hello {{ .name | shout }}!{{ end }}')
        >>> templates.render('{{ template "hello" . }}', {"name": "Ana"})
        'Hello ANA!'
    """

    def __init__(self, functions: Mapping[str, Function] | None = None) -> None:
        self._functions = {**BUILTINS, **(functions or {})}
        self._names = frozenset({*self._functions, *_LOGIC})
        self._templates: dict[str, Template] = {}

    @property
    def names(self) -> list[str]:
        """Names of all templates."""
        return sorted(self._templates)

    def parse(self, name: str, text: str) -> None:
        """Add the templates that a text defines; they take the place of others of the same names.

        Args:
            name: of the text, for messages.
            text: the templates.

        Raises:
            TemplateError: it cannot be parsed; nothing was added.
        """
        parsed = parse(name, text, self._names)
        for one in (*parsed.defined.values(), parsed.main):
            if not (one.empty() and one.name in self._templates):
                self._templates[one.name] = one

    def check(self, text: str, *, name: str = "", variables: frozenset[str] = frozenset()) -> Parsed:
        """Parse without rendering.

        Raises:
            TemplateError: it cannot be parsed.
        """
        return parse(name, text, self._names, variables)

    def render(
        self,
        text: str,
        data: object,
        *,
        html: bool = False,
        name: str = "",
        variables: Mapping[str, object] | None = None,
        functions: Mapping[str, Function] | None = None,
    ) -> str:
        """The text that a template gives.

        Args:
            text: of the template.
            data: its dot.
            html: escape values for their places in HTML.
            name: for messages.
            variables: by name, with the dollar.
            functions: in the place of those of the same names.

        Raises:
            TemplateError: it cannot be parsed or executed, or it takes too long or writes too much.
        """
        if "{{" not in text:
            return text
        variables = variables or {}
        parsed = self.check(text, name=name, variables=frozenset(variables))
        used = {**self._functions, **(functions or {})}
        if html:
            # Whatever is printed is escaped anyway; twice would be once too often.
            used |= {"html": BUILTINS["print"], "urlquery": _url_query}
        writer = HtmlWriter() if html else TextWriter()
        Execution(ChainMap(parsed.defined, self._templates), used, writer).run(parsed.main, data, variables)
        # What was a part of a character in a byte string is shown as Go's programs show it.
        return writer.result().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
