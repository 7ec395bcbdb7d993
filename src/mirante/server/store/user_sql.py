"""Runs SQL that users wrote: one SELECT over the tables of telemetry, and nothing else.

The engine's own ``readonly`` lets functions read files and ``INTO OUTFILE`` write them. So the text is handed to the
engine's parser as a value, the tree is checked node by node against what is allowed, and what runs is that tree,
written out anew and wrapped as a subquery: no quotes or comments make the engine read another statement than was
checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from mirante.errors import BadQueryError, StoreError
from mirante.server.store.sql_functions import AGGREGATES, COMBINATORS, FUNCTIONS

if TYPE_CHECKING:
    import pyarrow as pa

    from mirante.server.store.api import QueryBudget
    from mirante.server.store.client import Engine

TABLES = frozenset(
    {"exemplars", "histogram_samples", "metric_metadata", "otel_logs", "otel_traces", "samples", "series"}
)
"""Tables that may be read."""

MAX_LENGTH = 100_000

# Every node that may stand in the tree. What is missing here is refused: settings, and APPLY, which calls a function by
# its name, among others.
_NODES = frozenset(
    {
        "ArrayJoin",
        "Asterisk",
        "ColumnsExceptTransformer",
        "ColumnsTransformerList",
        "ExpressionList",
        "Function",
        "Identifier",
        "Literal",
        "OrderByElement",
        "QualifiedAsterisk",
        "QueryParameter",
        "SampleRatio",
        "SelectIntersectExceptQuery",
        "SelectQuery",
        "SelectWithUnionQuery",
        "Subquery",
        "TableExpression",
        "TableIdentifier",
        "TableJoin",
        "TablesInSelectQuery",
        "TablesInSelectQueryElement",
        "WindowDefinition",
        "WithElement",
    }
)
_MEMBERSHIP = frozenset({"in", "notin", "nullin", "notnullin"})
_PRESENT = frozenset({"now", "now64", "today", "yesterday", "current_timestamp", "curdate", "current_date"})


@dataclass(frozen=True, slots=True)
class SqlLimits:
    """What one statement may use beside its budget.

    Attributes:
        result_rows: rows that it may give.
        read_rows: rows that it may go through.
    """

    result_rows: int = 100_000
    read_rows: int = 5_000_000_000


class Checked(NamedTuple):
    """A statement that may run, and the names of its parameters."""

    statement: str
    parameters: frozenset[str]


class UserSql:
    """Checks and runs.

    Args:
        engine: where the tables are.
        limits: bounds of one statement.
    """

    def __init__(self, engine: Engine, limits: SqlLimits | None = None) -> None:
        self._engine = engine
        self._limits = limits or SqlLimits()

    def check(self, text: str, budget: QueryBudget | None = None) -> Checked:
        """The statement as it is going to run.

        Raises:
            BadQueryError: it is no SQL, not one SELECT, or uses what is not allowed.
            QueryError: a limit of the budget was met.
        """
        if len(text) > MAX_LENGTH:
            raise BadQueryError(f"the SQL is longer than {MAX_LENGTH} characters")
        try:
            parsed = self._engine.arrow(_PARSE, {"text": text}, budget)
        except StoreError as error:
            raise BadQueryError(_first_words(str(error))) from None
        (row,) = parsed.to_pylist()
        tree = json.loads(row["tree"])
        _check(tree, frozenset(row["tables"]))
        names = frozenset(str(node["name"]) for node in _nodes(tree) if node["type"] == "QueryParameter")
        return Checked(str(row["statement"]), names)

    def run(self, text: str, parameters: Mapping[str, object], budget: QueryBudget) -> pa.Table:
        """The rows of a SELECT.

        Args:
            text: the statement; ``{name:Type}`` stands for a parameter.
            parameters: their values.
            budget: time and memory that it may use.

        Raises:
            BadQueryError: see ``check``, or the engine cannot run it.
            QueryError: a limit was met.
        """
        statement, names = self.check(text, budget)
        # The driver takes percent signs for its own where there are parameters of which the text says nothing.
        used = {name: value for name, value in parameters.items() if name in names}
        bounds = {
            "max_result_rows": self._limits.result_rows,
            "max_rows_to_read": self._limits.read_rows,
            "max_temporary_data_on_disk_size_for_query": 1,
            "readonly": 1,
        }
        try:
            return self._engine.arrow(f"SELECT * FROM (\n{statement}\n)", used, budget, bounds)  # noqa: S608 - checked
        except StoreError as error:
            raise BadQueryError(_first_words(str(error))) from None


# formatQueryFromJSON writes the tree that was checked, and no other reading of the text.
_PARSE = """SELECT parseQueryToJSON({text:String}) AS tree, formatQueryFromJSON(tree) AS statement,
       (SELECT groupArray(name) FROM system.tables WHERE database = currentDatabase()) AS tables"""
_PREFIX = re.compile(r"^\d+\. DB::Exception: ")


def _first_words(message: str) -> str:
    """The engine's message without its number and without the statement of ours in which it happened."""
    return _PREFIX.sub("", message.partition(": In scope SELECT")[0])


def _check(tree: Mapping[str, Any], tables: frozenset[str]) -> None:
    if tree.get("type") != "SelectWithUnionQuery":
        raise BadQueryError("expected one SELECT statement")
    named = {str(node["name"]) for node in _nodes(tree) if node["type"] == "WithElement"}
    for name in named:
        # Outside its scope the name would be the table's.
        if not name.isidentifier() or name in tables:
            raise BadQueryError(f'"{name}" cannot be the name of a subquery; use letters, digits and _, and no table')
    for node in _nodes(tree):
        _check_node(node, named)


def _check_node(node: Mapping[str, Any], named: set[str]) -> None:
    kind = node["type"]
    if kind not in _NODES:
        raise BadQueryError("SETTINGS are not allowed here" if kind == "SetQuery" else f"{kind} is not allowed here")
    if node.get("out_file") or node.get("format_ast"):
        raise BadQueryError("INTO OUTFILE and FORMAT are not allowed here")
    if node.get("table_function"):
        raise BadQueryError(f"no table functions are allowed; tables are {_listed(TABLES)}")
    if kind == "QueryParameter" and node.get("param_type") == "Identifier":
        raise BadQueryError("a parameter can stand for a value only")
    if kind == "TableIdentifier":
        _check_table(node, named)
    if kind == "Function":
        _check_function(node, named)


def _check_table(node: Mapping[str, Any], named: set[str]) -> None:
    name = str(node.get("name"))
    if name not in TABLES | named:
        raise BadQueryError(f'table "{name}" is not allowed; allowed are {_listed(TABLES)}')


def _check_function(node: Mapping[str, Any], named: set[str]) -> None:
    name = str(node["name"])
    if name.lower() in _PRESENT:
        raise BadQueryError(f"{name}() is not allowed; use {{now:DateTime64(3)}}, the time of the evaluation")
    if not _allowed(name.lower()):
        raise BadQueryError(f'function "{name}" is not allowed')
    if name.lower() in _MEMBERSHIP:
        # A bare name behind IN is a table's.
        for right in (node.get("arguments") or {}).get("children", [])[1:]:
            if right.get("type") == "Identifier":
                _check_table(right, named)


def _allowed(name: str) -> bool:
    if name in FUNCTIONS or name in AGGREGATES:
        return True
    return any(_allowed(name.removesuffix(end)) for end in COMBINATORS if name.endswith(end) and name != end)


def _nodes(tree: object) -> Iterator[Mapping[str, Any]]:
    """Every node of the tree; values of literals are none."""
    if isinstance(tree, list):
        for item in tree:
            yield from _nodes(item)
    elif isinstance(tree, dict):
        if "type" in tree:
            yield tree
        for value in tree.values():
            yield from _nodes(value)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
