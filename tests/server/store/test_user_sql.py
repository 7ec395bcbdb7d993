"""SQL of users: one SELECT over the tables of telemetry, whatever they write."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirante.errors import BadQueryError, QueryError, QueryLimitError, QueryTimeoutError
from mirante.server.store.sql_functions import AGGREGATES, FUNCTIONS
from mirante.server.store.user_sql import TABLES, SqlLimits, UserSql
from tests.server.store.conftest import NOW, Store, body, budget

NOW_TEXT = f"{NOW // 1000}.{NOW % 1000:03}"

ALLOWED = (
    "SELECT count() AS value FROM otel_logs",
    "SELECT 1 AS value;",
    "SELECT 1 AS value -- a comment",
    "/* one */ SELECT 1 AS value",
    "(SELECT 1 AS value)",
    "SELECT 1 AS value UNION ALL SELECT 2 EXCEPT SELECT 3",
    "WITH one AS (SELECT 1 AS a) SELECT a IN one, a IN (1, 2), (SELECT 2) FROM one",
    "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t WHERE n < 3) SELECT sum(n) AS value FROM t",
    "SELECT ServiceName, countIf(SeverityNumber > 16) / count() AS value FROM otel_logs GROUP BY ALL",
    "SELECT count() FROM otel_logs WHERE Timestamp > {now:DateTime64(3)} - INTERVAL 5 MINUTE AND Body LIKE '%error%'",
    "SELECT quantile(0.9)(Duration) AS value, quantilesIf(0.5, 0.9)(Duration, 1) FROM otel_traces",
    "SELECT labels['job'] AS job, sum(value) AS value FROM samples AS s JOIN series USING (series_id) GROUP BY job",
    "SELECT arrayMap(x -> x + 1, [1]), (1, 2).1, map('a', 1)['a'], CAST(1 AS Int8), 1::Int8, 1 BETWEEN 0 AND 2",
    "SELECT CASE WHEN 1 THEN 2 ELSE 3 END, if(1, 2, 3), extract(YEAR FROM toDate('2020-01-01')), exists(SELECT 1)",
    "SELECT sum(value) OVER (PARTITION BY series_id ORDER BY timestamp) AS value FROM samples",
    "SELECT * EXCEPT value FROM samples LIMIT 1 BY series_id",
    "SELECT key FROM series ARRAY JOIN mapKeys(labels) AS key WHERE name LIKE 'a%' AND name NOT ILIKE 'b%'",
    "SELECT sum(value) AS value FROM samples GROUP BY GROUPING SETS ((series_id), ())",
    "SELECT 'file(x); INTO OUTFILE ''y'' SETTINGS a = 1' AS text",
)

REFUSED = (
    # Files, addresses and programs.
    "SELECT * FROM file('/etc/passwd')",
    "SELECT file('/etc/passwd')",
    "SELECT FILE('/etc/passwd')",
    "SELECT `file`('/etc/passwd')",
    "SELECT (SELECT file('/etc/passwd'))",
    "SELECT 1 WHERE 1 IN (SELECT 1 FROM file('/etc/passwd'))",
    "SELECT 1 IN file('/etc/passwd')",
    "WITH x AS (SELECT * FROM url('http://127.0.0.1')) SELECT 1 FROM x",
    "WITH file('/etc/passwd') AS x SELECT x",
    "SELECT 1 UNION ALL SELECT * FROM s3('http://127.0.0.1/a')",
    "SELECT * FROM (SELECT * FROM (SELECT * FROM remote('127.0.0.1', 'system.one')))",
    "SELECT * FROM executable('id', 'TSV', 'x String')",
    "SELECT * FROM python('x')",
    "SELECT * FROM mysql('a', 'b', 'c', 'd', 'e')",
    "SELECT * FROM samples JOIN file('/etc/passwd') AS f ON 1",
    "SELECT arrayMap(x -> file(x), ['/etc/passwd'])",
    "SELECT * APPLY(file) FROM samples",
    "SELECT COLUMNS('value') APPLY(x -> file(x)) FROM samples",
    "SELECT * REPLACE(file('/etc/passwd') AS value) FROM samples",
    "SELECT 1 LIMIT (SELECT length(file('/etc/passwd')))",
    "SELECT 1 ORDER BY file('/etc/passwd')",
    "SELECT sum(1) OVER (ORDER BY file('/etc/passwd'))",
    "SELECT countIf(file('/etc/passwd') != '') FROM samples",
    "SELECT * FROM input('x String')",
    "SELECT * FROM numbers(10)",
    "SELECT * FROM eval('SELECT 1')",
    "SELECT * FROM view(SELECT 1)",
    # Writing, and other statements.
    "SELECT 1 INTO OUTFILE '{folder}/written'",
    "SELECT * FROM (SELECT 1 INTO OUTFILE '{folder}/written')",
    "SELECT 1) INTO OUTFILE '{folder}/written' --",
    "SELECT 1)) INTO OUTFILE '{folder}/written'; SELECT ((1",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE samples",
    "SELECT 1) UNION ALL (SELECT 2",
    "SELECT 1 FORMAT Null",
    "INSERT INTO samples SELECT 1",
    "INSERT INTO FUNCTION file('{folder}/written') SELECT 1",
    "DROP TABLE samples",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "SET max_threads = 1",
    "EXPLAIN SELECT 1",
    "SELECT * FROM (EXPLAIN SELECT 1)",
    "SHOW TABLES",
    "DESCRIBE TABLE samples",
    "SYSTEM SHUTDOWN",
    "USE system",
    "VALUES (1)",
    # Settings, which lift limits.
    "SELECT 1 SETTINGS max_execution_time = 0",
    "SELECT * FROM (SELECT 1 SETTINGS readonly = 0)",
    # Tables and what tells of the machine.
    "SELECT * FROM system.tables",
    "SELECT * FROM `system`.`tables`",
    "SELECT * FROM INFORMATION_SCHEMA.tables",
    "SELECT 1 IN system.one",
    "SELECT 1 NOT IN (system.one)",
    "SELECT * FROM known_series",
    "SELECT * FROM default.samples",
    "SELECT * FROM merge('.*')",
    "SELECT * FROM {now:Identifier}",
    "SELECT {now:Identifier}",
    "WITH `system.tables` AS (SELECT 1) SELECT * FROM system.tables",
    "WITH schema_migrations AS (SELECT 1) SELECT * FROM schema_migrations",
    "SELECT dictGet('a', 'b', 1)",
    "SELECT joinGet('a', 'b', 1)",
    "SELECT getSetting('readonly')",
    "SELECT @@version",
    "SELECT hostName()",
    "SELECT currentUser()",
    "SELECT version()",
    "SELECT sleep(3)",
    "SELECT throwIf(1)",
    "SELECT aiGenerate('x')",
    "SELECT now()",
    "SELECT rand()",
    # No SQL.
    "",
    ";",
    "SELECT",
    "SELECT 1 /* not closed",
    "SELECT 'not closed",
    "SELECT \0 1",
    "x" * 100_001,
)


@pytest.fixture(scope="module")
def sql(store: Store) -> UserSql:
    """Over the module's store."""
    return UserSql(store.engine)


@pytest.mark.parametrize("text", ALLOWED)
def test_questions_about_telemetry_are_answered(sql: UserSql, text: str) -> None:
    """Ordinary SQL runs: joins, windows, subqueries, lambdas, operators."""
    sql.run(text, {"now": NOW_TEXT}, budget())


@pytest.mark.parametrize("text", REFUSED, ids=range(len(REFUSED)))
def test_whatever_else_is_refused_before_it_runs(sql: UserSql, tmp_path: Path, text: str) -> None:
    """Files, addresses, settings, other tables, other statements: none is run, and nothing is written."""
    with pytest.raises(BadQueryError):
        sql.run(text.replace("{folder}", str(tmp_path)), {"now": "samples"}, budget())
    assert list(tmp_path.iterdir()) == []


PIECES = st.one_of(
    st.sampled_from(
        ["SELECT", "FROM", "UNION ALL", "WITH", "AS", "IN", "APPLY", "EXPLAIN", "FORMAT", "CSV", "SETTINGS"]
    ),
    st.sampled_from([*"(),;'\"`\\1x*#\n", "--", "/*", "*/", "->", "$$", "a = 1"]),
    st.sampled_from(["file('{secret}')", "INTO OUTFILE '{written}'", "INSERT INTO FUNCTION file('{written}')"]),
    st.sampled_from(["samples", "system.one", "url('http://127.0.0.1')"]),
)


@settings(max_examples=80)
@given(pieces=st.lists(PIECES, max_size=9))
def test_no_mixture_of_pieces_reads_or_writes_a_file(
    sql: UserSql, tmp_path_factory: pytest.TempPathFactory, pieces: list[str]
) -> None:
    """Whatever way quotes, comments, brackets and keywords are put together, no file is read and none is written."""
    folder = tmp_path_factory.getbasetemp() / "user_sql"
    folder.mkdir(exist_ok=True)
    secret, written = folder / "secret", folder / "written"
    secret.write_text("the secret")
    text = " ".join(pieces).replace("{secret}", str(secret)).replace("{written}", str(written))
    for attempt in (text, f"SELECT {text}", f"SELECT * FROM {text}", f"SELECT 1) {text} (SELECT 1"):  # noqa: S608
        try:
            answer = str(sql.run(attempt, {}, budget()).to_pydict())
        except QueryError:
            answer = ""
        assert "the secret" not in answer
        assert not written.exists()


def test_a_parameter_stands_for_a_value(sql: UserSql, store: Store) -> None:
    """The value comes from beside the text, and quotes in it are but characters."""
    store.write("remote_write", body("sql_rows", 2.0, NOW - 1_000, job="it's"), body("sql_rows", 3.0, NOW - 90_000))
    text = (
        "SELECT labels['job'] AS job, sum(value) AS value FROM samples JOIN series USING (series_id)"
        " WHERE name = 'sql_rows' AND labels['job'] = {job:String}"
        " AND timestamp > {now:DateTime64(3)} - INTERVAL 1 MINUTE GROUP BY job"
    )
    answer = sql.run(text, {"now": NOW_TEXT, "job": "it's"}, budget())
    assert answer.to_pylist() == [{"job": "it's", "value": 2.0}]


def test_limits_of_time_memory_and_rows_hold(sql: UserSql, store: Store) -> None:
    """A statement that wants too much ends with the limit that it met, and the next one runs."""
    with pytest.raises(QueryLimitError):
        sql.run("SELECT length(repeat('x', 1000000000)) AS value", {}, budget(max_memory_bytes=50_000_000))
    few = UserSql(store.engine, SqlLimits(result_rows=10))
    with pytest.raises(QueryLimitError):
        few.run("SELECT arrayJoin(range(100)) AS value", {}, budget())
    late = budget()
    late.deadline -= 3600
    with pytest.raises(QueryTimeoutError):
        sql.run("SELECT 1", {}, late)
    assert sql.run("SELECT 1 AS value", {}, budget()).to_pylist() == [{"value": 1}]


def test_what_is_wrong_is_said_without_our_own_words(sql: UserSql) -> None:
    """The message is the engine's about the user's text, or ours about what is not allowed."""
    for text, message in (
        ("SELECT nope FROM samples", "Unknown expression identifier `nope`"),
        ("SELECT 1 +", "Syntax error: failed at position"),
        ("SELECT now()", "now() is not allowed; use {now:DateTime64(3)}, the time of the evaluation"),
        ("SELECT * FROM secrets", 'table "secrets" is not allowed; allowed are exemplars, '),
        ("SELECT nope(1)", 'function "nope" is not allowed'),
    ):
        with pytest.raises(BadQueryError) as raised:
            sql.run(text, {}, budget())
        assert str(raised.value).startswith(message), text
        assert "parseQueryToJSON" not in str(raised.value)


def test_every_name_that_is_allowed_is_the_engines(store: Store) -> None:
    """Functions and tables of the lists exist, so that no line of them is there for nothing."""
    known = {row["name"].lower() for row in store.rows("SELECT name FROM system.functions")}
    assert {"lambda", "exists", "grouping"} == FUNCTIONS - known
    assert known >= AGGREGATES
    assert {row["name"] for row in store.rows("SELECT name FROM system.tables WHERE database = 'default'")} >= TABLES
