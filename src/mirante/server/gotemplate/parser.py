"""From the tokens of a template to its tree."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import lru_cache

from mirante.errors import TemplateError
from mirante.server.gotemplate import literals
from mirante.server.gotemplate.lexer import Token, located, tokens
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
    Leave,
    Nil,
    Number,
    Operand,
    Parsed,
    Pipe,
    Statement,
    String,
    Template,
    Text,
    Variable,
)

_DEEPEST = 60
_WORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"})


@lru_cache(maxsize=4096)
def parse(name: str, source: str, functions: frozenset[str], variables: frozenset[str] = frozenset()) -> Parsed:
    """Parse one source.

    Args:
        name: for messages.
        source: its text.
        functions: names that it may call.
        variables: names, with their dollar, that it may use without declaring them.

    Raises:
        TemplateError: it is no template; the message says where and why.
    """
    return _Parser(name, source, functions, variables).run()


class _Parser:
    def __init__(self, name: str, source: str, functions: AbstractSet[str], variables: AbstractSet[str]) -> None:
        self.name, self.source, self.functions = name, source, functions
        self.tokens = list(tokens(name, source))
        self.at = 0
        self.variables = ["$", *variables]
        self.defined: dict[str, Template] = {}
        self.depth = 0
        self.loops = 0

    def run(self) -> Parsed:
        body, word = self._body(top=True)
        if word.kind != "end":
            raise self._error(f"unexpected {{{{{word.text}}}}}; there is nothing here that it could close", word)
        return Parsed(Template(self.name, self.name, self.source, body), self.defined)

    # Tokens

    def _next(self) -> Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def _peek(self) -> Token:
        """The next token that is no space."""
        while self.tokens[self.at].kind == "space":
            self.at += 1
        return self.tokens[self.at]

    def _skip(self) -> Token:
        self._peek()
        return self._next()

    def _error(self, message: str, token: Token) -> TemplateError:
        return located(self.name, self.source, token.pos, message)

    def _close(self, what: str) -> int:
        """Take the end of an action; gives where it stands."""
        token = self._skip()
        if token.kind != "close":
            raise self._error(f"unexpected {token.text or 'end of the template'!r} in {what}; expected }}}}", token)
        return token.pos

    # Statements

    def _deeper(self, token: Token) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._error(f"more than {_DEEPEST} levels inside each other", token)

    def _body(self, *, top: bool = False) -> tuple[Body, Token]:
        """Statements, and the ``end`` or ``else`` behind them, or the end of the source."""
        self._deeper(self.tokens[self.at])
        nodes: list[Statement] = []
        while True:
            token = self._next()
            if token.kind == "text":
                nodes.append(Text(token.pos, token.pos + len(token.text), token.text))
                continue
            if token.kind == "end" and not top:
                raise self._error("unexpected end of the template; an {{end}} is missing", token)
            word = token if token.kind == "end" else self._peek()
            if word.kind == "end" or (word.kind == "word" and word.text in {"end", "else"}):
                self._next()
                break
            node = self._statement(word, top)
            if node is not None:
                nodes.append(node)
        self.depth -= 1
        return tuple(nodes), word

    def _statement(self, word: Token, top: bool) -> Statement | None:
        keyword = word.text if word.kind == "word" and word.text in _WORDS else ""
        if keyword:
            self._next()
        match keyword:
            case "if" | "with" | "range":
                return self._branch(word)
            case "template":
                return self._call(word)
            case "break" | "continue":
                if not self.loops:
                    raise self._error(f"{{{{{keyword}}}}} outside {{{{range}}}}", word)
                return Leave(word.pos, self._close(keyword), keyword)
            case "define":
                if not top:
                    raise self._error("{{define}} inside another action; put it at the top of the file", word)
                self._define(self._template_name("define"), word)
                return None
            case "block":
                return self._block(word)
        pipe = self._pipe("command")
        return Action(word.pos, self._close("command"), pipe)

    def _branch(self, word: Token) -> Branch:
        kind, outer = word.text, len(self.variables)
        self.loops += kind == "range"
        pipe = self._pipe(kind)
        end = self._close(kind)
        inner = len(self.variables)
        body, closing = self._body()
        del self.variables[inner:]
        self.loops -= kind == "range"
        otherwise: Body = ()
        if closing.text == "else":
            otherwise = self._otherwise(kind)
        else:
            self._close("end")
        del self.variables[outer:]
        return Branch(word.pos, end, kind, pipe, body, otherwise)

    def _otherwise(self, kind: str) -> Body:
        """What follows ``else``: a body, or ``if`` (``with``) for a chain that shares its ``end``."""
        token = self._peek()
        if token.kind == "word" and token.text == kind and kind != "range":
            self._next()
            self._deeper(token)
            nested = self._branch(token)
            self.depth -= 1
            return (nested,)
        self._close("else")
        body, closing = self._body()
        if closing.text == "else":
            raise self._error("expected {{end}}; found {{else}}", closing)
        self._close("end")
        return body

    def _template_name(self, what: str) -> str:
        token = self._skip()
        if token.kind not in {"string", "raw"}:
            raise self._error(f"unexpected {token.text!r} in {what}; expected the template's name in quotes", token)
        return str(self._literal(token))

    def _call(self, word: Token) -> Call:
        name = self._template_name("template")
        pipe = None if self._peek().kind == "close" else self._pipe("template")
        return Call(word.pos, self._close("template"), name, pipe)

    def _define(self, name: str, word: Token) -> None:
        self._close(word.text)
        # A template of its own knows neither the variables nor the loops around it.
        variables, loops = self.variables, self.loops
        self.variables, self.loops = ["$"], 0
        body, closing = self._body()
        if closing.text == "else":
            raise self._error(f"unexpected {{{{else}}}} in {word.text}", closing)
        self._close("end")
        self.variables, self.loops = variables, loops
        template = Template(name, self.name, self.source, body)
        if name in self.defined and not template.empty():
            if not self.defined[name].empty():
                raise self._error(f'multiple definition of template "{name}"', word)
            del self.defined[name]
        self.defined.setdefault(name, template)

    def _block(self, word: Token) -> Call:
        name = self._template_name("block")
        pipe = self._pipe("block")
        end = self.tokens[self.at].pos
        self._define(name, word)
        return Call(word.pos, end, name, pipe)

    # Pipelines

    def _pipe(self, what: str) -> Pipe:
        start = self._peek()
        self._deeper(start)
        declared, assigns = self._declared(what)
        commands = [self._command(what)]
        while self._peek().text == "|" and self._peek().kind == "sign":
            self._next()
            commands.append(self._command(what))
        for command in commands[1:]:
            if isinstance(command.operands[0], (Bool, Dot, Nil, Number, String)):
                raise located(self.name, self.source, command.pos, "a value cannot follow | ; a function can")
        if not assigns:
            self.variables.extend(declared)
        self.depth -= 1
        return Pipe(start.pos, commands[-1].end, declared, assigns, tuple(commands))

    def _declared(self, what: str) -> tuple[tuple[str, ...], bool]:
        """Variables before ``:=`` or ``=``, and whether it is the latter."""
        back, names = self.at, []
        while True:
            token = self._skip()
            if token.kind != "variable":
                break
            names.append(token.text)
            sign = self._skip()
            if sign.text in {":=", "="} and sign.kind == "sign":
                return tuple(names), sign.text == "="
            if sign.text != ",":
                break
            if what != "range" or len(names) > 1:
                raise self._error(f"too many declarations in {what}", sign)
        self.at = back
        return (), False

    def _known(self, name: str, token: Token) -> None:
        if name not in self.variables:
            raise self._error(f'undefined variable "{name}"; declare it with {name} := before', token)

    def _command(self, what: str) -> Command:
        operands: list[Operand] = []
        start = self._peek()
        while True:
            token = self._peek()
            if token.kind in {"close", "end"} or (token.kind == "sign" and token.text in {"|", ")"}):
                break
            operands.append(self._operand(what))
            following = self.tokens[self.at]
            if following.kind not in {"space", "close"} and following.text not in {"|", ")"}:
                raise self._error(f"unexpected {following.text!r} in operand; put a space between operands", following)
        if not operands:
            raise self._error(f"missing value for {what}", start)
        return Command(start.pos, operands[-1].end, tuple(operands))

    def _operand(self, what: str) -> Operand:
        token = self._next()
        node = self._term(token, what)
        fields = []
        while self.tokens[self.at].kind == "field":
            fields.append(self._next().text[1:])
        if not fields:
            return node
        end = self.tokens[self.at].pos
        match node:
            case Field():
                return Field(node.pos, end, (*node.names, *fields))
            case Variable():
                return Variable(node.pos, end, node.name, tuple(fields))
            case Bool() | String() | Number() | Nil() | Dot():
                raise self._error(f"unexpected .{fields[0]} after {token.text}", token)
        return Chain(node.pos, end, node, tuple(fields))

    def _term(self, token: Token, what: str) -> Operand:
        pos, end = token.pos, token.pos + len(token.text)
        match token.kind:
            case "string" | "raw" | "number" | "char":
                value = self._literal(token)
                return String(pos, end, value) if isinstance(value, str) else Number(pos, end, value)
            case "field":
                return Field(pos, end, (token.text[1:],))
            case "dot":
                return Dot(pos, end)
            case "variable":
                self._known(token.text, token)
                return Variable(pos, end, token.text, ())
            case "word":
                return self._word(token, pos, end)
            case "sign" if token.text == "(":
                return self._parenthesized(pos)
        raise self._error(f"unexpected {token.text!r} in {what}", token)

    def _parenthesized(self, pos: int) -> Pipe:
        pipe = self._pipe("parenthesized pipeline")
        closing = self._skip()
        if closing.text != ")":
            raise self._error(f"unclosed left paren: unexpected {closing.text!r}; expected )", closing)
        return Pipe(pos, closing.pos + 1, pipe.declared, pipe.assigns, pipe.commands)

    def _word(self, token: Token, pos: int, end: int) -> Operand:
        match token.text:
            case "true" | "false":
                return Bool(pos, end, token.text == "true")
            case "nil":
                return Nil(pos, end)
        if token.text in _WORDS - self.functions:
            raise self._error(f"unexpected <{token.text}> in an operand", token)
        if token.text not in self.functions:
            raise self._error(f'function "{token.text}" not defined', token)
        return Identifier(pos, end, token.text)

    def _literal(self, token: Token) -> str | int | float:
        try:
            match token.kind:
                case "number":
                    return literals.number(token.text)
                case "char":
                    return literals.unquote_char(token.text)
            return literals.unquote(token.text)
        except ValueError as error:
            raise self._error(str(error), token) from error
