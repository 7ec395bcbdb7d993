"""What a parsed template is made of. ``pos`` and ``end`` are offsets in its source, for messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Node:
    """Anything that stands somewhere in the source."""

    pos: int
    end: int


@dataclass(frozen=True, slots=True)
class String(Node):
    """``"text"``, or text between back quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Number(Node):
    """``7``, ``0x1f``, ``1.5e3``, ``'a'``."""

    value: int | float


@dataclass(frozen=True, slots=True)
class Bool(Node):
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True)
class Nil(Node):
    """``nil``."""


@dataclass(frozen=True, slots=True)
class Dot(Node):
    """``.``."""


@dataclass(frozen=True, slots=True)
class Field(Node):
    """``.A.B`` of dot."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variable(Node):
    """``$x``, perhaps with fields: ``$x.A``."""

    name: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Identifier(Node):
    """Name of a function."""

    name: str


@dataclass(frozen=True, slots=True)
class Pipe(Node):
    """``$a, $b := command | command``; ``assigns`` where it says ``=``."""

    declared: tuple[str, ...]
    assigns: bool
    commands: tuple[Command, ...]


@dataclass(frozen=True, slots=True)
class Chain(Node):
    """``(pipe).A.B``."""

    node: Operand
    fields: tuple[str, ...]


Operand = String | Number | Bool | Nil | Dot | Field | Variable | Identifier | Pipe | Chain


@dataclass(frozen=True, slots=True)
class Command(Node):
    """A value, or a function or method with its arguments."""

    operands: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Text(Node):
    """What stands outside of actions."""

    text: str


@dataclass(frozen=True, slots=True)
class Action(Node):
    """``{{ pipe }}``."""

    pipe: Pipe


@dataclass(frozen=True, slots=True)
class Branch(Node):
    """``if``, ``with`` or ``range`` with its ``else``."""

    kind: str
    pipe: Pipe
    body: Body
    otherwise: Body


@dataclass(frozen=True, slots=True)
class Call(Node):
    """``{{ template "name" pipe }}``."""

    name: str
    pipe: Pipe | None


@dataclass(frozen=True, slots=True)
class Leave(Node):
    """``break`` or ``continue``."""

    kind: str


Statement = Text | Action | Branch | Call | Leave
Body = tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A template with the text that it stands in.

    Attributes:
        name: by which it is called.
        file: name of the source.
        source: text of the source.
        body: what is executed.
    """

    name: str
    file: str
    source: str
    body: Body

    def empty(self) -> bool:
        """Whether it has nothing but white space: such a one does not replace another."""
        return all(isinstance(node, Text) and not node.text.strip() for node in self.body)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One source: its own text, and what it defines by name."""

    main: Template
    defined: dict[str, Template] = field(default_factory=dict)

    def called(self) -> Iterator[str]:
        """Names of the templates that its own text calls."""
        return _called(self.main.body)


def _called(body: Body) -> Iterator[str]:
    for node in body:
        if isinstance(node, Call):
            yield node.name
        elif isinstance(node, Branch):
            yield from _called((*node.body, *node.otherwise))
