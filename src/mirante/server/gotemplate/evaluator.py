"""Executes parsed templates.

An execution is bounded in steps, in the text that it writes and in how deep templates call each other, so that none can
hang the server or fill its memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeGuard

from mirante.errors import MiranteError, TemplateError
from mirante.server.gotemplate import values
from mirante.server.gotemplate.lexer import located
from mirante.server.gotemplate.nodes import (
    Action,
    Body,
    Bool,
    Branch,
    Call,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Nil,
    Node,
    Number,
    Operand,
    Pipe,
    String,
    Template,
    Text,
    Variable,
)
from mirante.server.gotemplate.signature import Function, Kind, check, expected, signature

_STEPS, _DEEPEST = 1_000_000, 60
_CHARACTERS_A_STEP = 64
_NONE = object()
"""No value from the command before."""


class Writer(Protocol):
    """Where an execution writes."""

    def text(self, text: str) -> None:
        """Take what stands in the template."""
        ...

    def value(self, value: object) -> None:
        """Take a value that is to be printed."""
        ...


def _is_whole(kind: object) -> TypeGuard[type[int]]:
    return isinstance(kind, type) and issubclass(kind, int) and kind is not bool


class Execution:
    """One rendering.

    Args:
        templates: those that can be called, by name.
        functions: by name; ValueError and mirante's errors become an error of the template.
        writer: takes the text; its ValueError says that it is too much.
    """

    def __init__(self, templates: Mapping[str, Template], functions: Mapping[str, Function], writer: Writer) -> None:
        self._templates, self._functions, self._writer = templates, functions, writer
        self._steps, self._depth = _STEPS, 0
        self._template: Template
        self._variables: list[tuple[str, object]] = []

    def run(self, template: Template, data: object, variables: Mapping[str, object]) -> None:
        """Execute.

        Raises:
            TemplateError: it cannot be done; the message says where and why.
        """
        self._template = template
        self._variables = [("$", data), *variables.items()]
        try:
            self._walk(template.body, data)
        except RecursionError:
            raise located(template.file, template.source, 0, "templates call each other too deeply") from None

    def _error(self, node: Node, message: str) -> TemplateError:
        template = self._template
        context = template.source[node.pos : node.end].strip()
        context = context if len(context) <= 40 else context[:37] + "..."
        where = f'executing "{template.name}" at <{context}>: {message}'
        return located(template.file, template.source, node.pos, where)

    def _charge(self, node: Node, steps: int = 1) -> None:
        self._steps -= steps
        if self._steps < 0:
            raise self._error(node, "the template takes too many steps; let it do less")

    # Statements

    def _walk(self, body: Body, dot: object) -> str:
        """Execute statements; gives ``break`` or ``continue`` where one was met."""
        for node in body:
            self._charge(node)
            match node:
                case Text():
                    self._write(node, node.text)
                case Action():
                    value = self._pipe(node.pipe, dot)
                    if not node.pipe.declared:
                        self._write(node, value, printed=True)
                case Branch(kind="range"):
                    self._range(node, dot)
                case Branch():
                    left = self._branch(node, dot)
                    if left:
                        return left
                case Call():
                    self._call(node, dot)
                case _:
                    return node.kind
        return ""

    def _write(self, node: Node, value: object, *, printed: bool = False) -> None:
        try:
            if printed:
                self._writer.value(value)
            else:
                self._writer.text(str(value))
        except ValueError as error:
            raise self._error(node, str(error)) from error

    def _branch(self, node: Branch, dot: object) -> str:
        mark = len(self._variables)
        value = self._pipe(node.pipe, dot)
        true = values.truth(value)
        left = self._walk(node.body if true else node.otherwise, value if true and node.kind == "with" else dot)
        del self._variables[mark:]
        return left

    def _range(self, node: Branch, dot: object) -> None:
        mark = len(self._variables)
        value = self._pipe(node.pipe, dot)
        top = len(self._variables)
        met = False
        for key, item in self._items(node.pipe, value):
            met = True
            self._charge(node)
            self._set_loop(node.pipe, mark, key, item)
            left = self._walk(node.body, item)
            del self._variables[top:]
            if left == "break":
                break
        if not met:
            self._walk(node.otherwise, dot)
        del self._variables[mark:]

    def _items(self, pipe: Pipe, value: object) -> Iterable[tuple[object, object]]:
        if value is None:
            return ()
        if isinstance(value, Mapping):
            return sorted(value.items())
        if isinstance(value, (list, tuple)):
            return enumerate(value)
        if type(value) is int:
            return ((number, number) for number in range(value))
        raise self._error(pipe, f"range can't iterate over {values.type_name(value)}; it can over lists and maps")

    def _set_loop(self, pipe: Pipe, mark: int, key: object, item: object) -> None:
        names = pipe.declared
        for name, value in zip(names, (item,) if len(names) == 1 else (key, item), strict=False):
            index = self._place(pipe, name) if pipe.assigns else mark + names.index(name)
            self._variables[index] = (name, value)

    def _call(self, node: Call, dot: object) -> None:
        template = self._templates.get(node.name)
        if template is None:
            raise self._error(node, f'template "{node.name}" not defined')
        if self._depth >= _DEEPEST:
            raise self._error(node, f"templates call each other more than {_DEEPEST} levels deep")
        value = None if node.pipe is None else self._pipe(node.pipe, dot)
        outer = self._template, self._variables
        self._template, self._variables = template, [("$", value)]
        self._depth += 1
        self._walk(template.body, value)
        self._depth -= 1
        self._template, self._variables = outer

    # Pipelines

    def _place(self, node: Node, name: str) -> int:
        """Where a variable stands; the innermost of its name counts."""
        for index in range(len(self._variables) - 1, -1, -1):
            if self._variables[index][0] == name:
                return index
        raise self._error(node, f"undefined variable: {name}; declare it with {name} := before")

    def _pipe(self, pipe: Pipe, dot: object) -> object:
        value: object = _NONE
        for command in pipe.commands:
            value = self._command(command, dot, value)
        for name in pipe.declared:
            if pipe.assigns:
                self._variables[self._place(pipe, name)] = (name, value)
            else:
                self._variables.append((name, value))
        return value

    def _command(self, command: Command, dot: object, final: object) -> object:
        self._charge(command)
        first, arguments = command.operands[0], command.operands[1:]
        if isinstance(first, Identifier):
            return self._function(first.name, command, arguments, dot, final)
        if isinstance(first, (Field, Chain, Variable)):
            return self._fields(first, command, arguments, dot, final)
        if arguments or final is not _NONE:
            raise self._error(
                first, "can't give argument to non-function " + self._template.source[first.pos : first.end]
            )
        if isinstance(first, Nil):
            raise self._error(first, "nil is not a command")
        return self._value(first, dot)

    def _value(self, node: Operand, dot: object) -> object:
        match node:
            case String() | Number() | Bool():
                return node.value
            case Dot():
                return dot
            case Nil():
                return None
            case Pipe():
                return self._pipe(node, dot)
            case Identifier():
                return self._function(node.name, node, (), dot, _NONE)
            case _:
                return self._fields(node, node, (), dot, _NONE)

    def _fields(
        self, node: Field | Chain | Variable, at: Node, arguments: tuple[Operand, ...], dot: object, final: object
    ) -> object:
        """Fields of a value, one after the other; the last one may be a method with arguments."""
        names: tuple[str, ...]
        match node:
            case Field():
                value, names = dot, node.names
            case Variable():
                value, names = self._variables[self._place(node, node.name)][1], node.fields
            case _:
                value, names = self._value(node.node, dot), node.fields
        given = bool(arguments) or final is not _NONE
        if not names and given:
            raise self._error(node, f"can't give argument to non-function {self._template.source[node.pos : node.end]}")
        for name in names[:-1]:
            value = self._field(node, value, name)
        if not names:
            return value
        method = values.method(value, names[-1])
        if method is not None:
            return self._invoke(names[-1], method, at, arguments, dot, final)
        if given:
            raise self._error(node, f"{names[-1]} has arguments but is no function")
        return self._field(node, value, names[-1])

    def _field(self, node: Node, value: object, name: str) -> object:
        method = values.method(value, name)
        if method is not None:
            return self._invoke(name, method, node, (), None, _NONE)
        try:
            return values.field(value, name)
        except ValueError as error:
            raise self._error(node, str(error)) from error

    # Calls

    def _function(self, name: str, at: Node, arguments: tuple[Operand, ...], dot: object, final: object) -> object:
        if name in {"and", "or"}:
            return self._logic(name, at, arguments, dot, final)
        return self._invoke(name, self._functions[name], at, arguments, dot, final)

    def _logic(self, name: str, at: Node, arguments: tuple[Operand, ...], dot: object, final: object) -> object:
        """``and`` gives the first argument that is false, ``or`` the first that is true; else the last one."""
        if not arguments and final is _NONE:
            raise self._error(at, f"wrong number of args for {name}: want at least 1 got 0")
        value: object = None
        for argument in arguments:
            value = self._value(argument, dot)
            if values.truth(value) == (name == "or"):
                return value
        return value if final is _NONE else final

    def _invoke(
        self, name: str, function: Function, at: Node, arguments: tuple[Operand, ...], dot: object, final: object
    ) -> object:
        takes = signature(function)
        try:
            takes.check_count(name, len(arguments) + (final is not _NONE))
        except ValueError as error:
            raise self._error(at, str(error)) from error
        given = [self._argument(node, takes.at(index), dot) for index, node in enumerate(arguments)]
        if final is not _NONE:
            given.append(self._checked(at, final, takes.at(len(arguments))))
        self._charge(at, sum(len(one) for one in given if isinstance(one, (str, list))) // _CHARACTERS_A_STEP)
        try:
            result = function(*given)
        except (ValueError, MiranteError) as error:
            raise self._error(at, f"error calling {name}: {error}") from error
        if isinstance(result, (str, list)):
            self._charge(at, len(result) // _CHARACTERS_A_STEP)
        return result

    def _argument(self, node: Operand, kind: Kind, dot: object) -> object:
        """A literal number takes the type that is asked for."""
        if isinstance(node, Number) and kind is float:
            return float(node.value)
        if isinstance(node, Number) and _is_whole(kind) and node.value == int(node.value):
            return kind(int(node.value))
        if isinstance(node, (String, Number, Bool)):
            try:
                return check(node.value, kind)
            except ValueError:
                shown = self._template.source[node.pos : node.end]
                raise self._error(node, f"expected {expected(kind)}; found {shown}") from None
        return self._checked(node, self._value(node, dot), kind)

    def _checked(self, node: Node, value: object, kind: Kind) -> object:
        try:
            return check(value, kind)
        except ValueError as error:
            raise self._error(node, str(error)) from error
