"""Joins what rules need of the store: shared reads, what was just written, SQL, the log, states of before a restart."""

from __future__ import annotations

from collections.abc import Sequence

from mirante.server.promql.engine import Engine
from mirante.server.rules.evaluation import QueryAt, RuleLog, RuleQuery
from mirante.server.rules.log import StoreLog
from mirante.server.rules.model import RuleGroup
from mirante.server.rules.needs import needs_of
from mirante.server.rules.query import Budgets, StoreQuery
from mirante.server.rules.recent import RecentReader, RecentSamples
from mirante.server.rules.shared import Selectors, SharedReader
from mirante.server.rules.state import States, read_states
from mirante.server.store.api import MetricReader
from mirante.server.store.user_sql import UserSql
from mirante.server.store.writer import LogWriter


class ServerStore:
    """The RuleStore of a server.

    Args:
        reader: reads metrics.
        sql: runs SQL.
        writer: the store's log.
        budgets: limits of what rules ask.
        lookback: how far an instant selector looks back, in milliseconds.
    """

    def __init__(
        self, reader: MetricReader, sql: UserSql, writer: LogWriter, budgets: Budgets, lookback: int = 300_000
    ) -> None:
        self._reader, self._sql, self._budgets, self._lookback = reader, sql, budgets, lookback
        self._recent = RecentSamples(lambda: writer.position("remote_write"), lambda: writer.loaded("remote_write"))
        self._log = StoreLog(writer, self._recent)

    def together(self, groups: Sequence[RuleGroup], subquery_step: int = 60_000) -> QueryAt:
        """See RuleStore."""
        needs, selectors = needs_of(groups, self._lookback), Selectors()

        def ask(at: int) -> RuleQuery:
            shared = SharedReader(self._reader, needs, at, selectors)
            reader = RecentReader(shared, self._recent)
            engine = Engine(reader, lookback_ms=self._lookback, subquery_step_ms=subquery_step)
            return StoreQuery(engine, self._sql, self._budgets)

        return ask

    def log(self) -> RuleLog:
        """See RuleStore."""
        return self._log

    def states(self, now: int, tolerance: int) -> States:
        """See RuleStore."""
        with self._budgets.open() as budget:
            return read_states(self._reader, now, tolerance, budget)

    def check_sql(self, text: str) -> None:
        """See RuleStore."""
        with self._budgets.open() as budget:
            self._sql.check(text, budget)

    def end(self) -> None:
        """See RuleStore."""
        self._budgets.end()
