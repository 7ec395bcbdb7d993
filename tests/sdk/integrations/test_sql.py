"""What is told of SQL: never a literal, and few different words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirante.integrations._sql import MAX_LENGTH, MAX_SUMMARY, describe
from mirante.integrations._sql_tokens import STYLES, Style, tokens

SUMMARIES = [
    ("SELECT * FROM wuser_table", "SELECT wuser_table"),
    ("select  *\n from wuser_table", "SELECT wuser_table"),
    ("SELECT * FROM songs, artists a WHERE songs.id == a.id", "SELECT songs artists"),
    ("INSERT INTO shipping (id) SELECT id, f(x, y) FROM orders WHERE id = 5", "INSERT shipping SELECT orders"),
    ("SELECT d FROM (SELECT * FROM orders o JOIN customers c ON o.c = c.c)", "SELECT SELECT orders customers"),
    ('SELECT * FROM "song list", [other list], `third`', 'SELECT "song list" [other list] `third`'),
    ("WITH r AS (SELECT a FROM x) SELECT * FROM r JOIN public.y ON true", "SELECT x SELECT r public.y"),
    ("UPDATE ONLY a.b SET x = 5, y = 6 WHERE id IN (SELECT id FROM c) RETURNING id", "UPDATE a.b SELECT c"),
    ("INSERT INTO t (a) VALUES (?) ON CONFLICT (a) DO UPDATE SET a = excluded.a", "INSERT t"),
    ("SELECT EXTRACT(year FROM ts), a IS DISTINCT FROM b FROM t FOR UPDATE", "SELECT t"),
    ("SELECT a FROM t -- FROM comment\n JOIN LATERAL /* FROM x */ (SELECT b FROM u) z", "SELECT t SELECT u"),
    ("(SELECT a FROM t) UNION (SELECT b FROM u))", "SELECT t SELECT u"),
    ("CREATE UNIQUE INDEX IF NOT EXISTS ix ON t (a)", "CREATE INDEX ix"),
    ("CREATE TABLE orders (id INTEGER REFERENCES x (id) ON DELETE CASCADE)", "CREATE TABLE orders"),
    ("CREATE OR REPLACE VIEW v AS SELECT a FROM t", "CREATE VIEW v SELECT t"),
    ("TRUNCATE orders", "TRUNCATE orders"),
    ("DELETE FROM t WHERE a = 'x'; SELECT 1", "DELETE t SELECT"),
    ("CALL do_it(1)", "CALL do_it"),
    ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = 1", "MERGE t"),
    ('PRAGMA main.table_info("orders")', "PRAGMA"),
    ("SAVEPOINT sa_savepoint_17", "SAVEPOINT"),
    ("", ""),
]


@pytest.mark.parametrize(("statement", "summary"), SUMMARIES)
def test_summaries(statement: str, summary: str) -> None:
    """Operations in capitals, targets as they stand, in the order in which they come."""
    assert describe(statement, "postgresql").summary == summary


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("insert into t select a from u", "INSERT"),
        ("WITH r AS (SELECT a FROM x) UPDATE t SET a = r.a", "UPDATE"),
        ("(SELECT a FROM t) UNION (SELECT b FROM u)", "SELECT"),
        ("BEGIN", "BEGIN"),
        ("?", ""),
    ],
)
def test_the_operation_is_the_outermost_one(statement: str, operation: str) -> None:
    """Common table expressions come first and are not what the statement does."""
    assert describe(statement, "sqlite").operation == operation


def test_a_long_summary_ends_with_a_whole_word() -> None:
    """255 characters at most."""
    names = ", ".join(f"table_{n:020d}" for n in range(40))
    summary = describe(f"SELECT * FROM {names}", "sqlite").summary  # noqa: S608 - nobody runs it
    assert MAX_SUMMARY - 27 < len(summary) <= MAX_SUMMARY
    assert summary.endswith(f"table_{summary.count(' ') - 1:020d}")


@pytest.mark.parametrize(
    ("dialect", "statement", "text"),
    [
        ("sqlite", "SELECT 'a''b', x'ff', 1.5e3, -2, .5, a1 FROM \"t 1\"", 'SELECT ?, x?, ?, -?, ?, a1 FROM "t 1"'),
        ("sqlite", "SELECT ?, :name, @x, %s, %(y)s /* hush */ -- hush\n + 1", "SELECT ?, :name, @x, %s, %(y)s + ?"),
        ("postgresql", r"SELECT E'it\'s', '\', $1::int, $a$ it's $ $a$, $$x$$", r"SELECT ?, ?, $1::int, ?, ?"),
        ("mysql", "SELECT 'it\\'s', \"it's\", 5--3, `a``b` # hush\n-- hush\n+ 1", "SELECT ?, ?, ?--?, `a``b` + ?"),
        ("oracle", "SELECT q'[it's]', nq'!it's!', 'x' FROM dual", "SELECT ?, ?, ? FROM dual"),
        ("mssql", "SELECT $5.00, N'x' FROM [dbo].[t]", "SELECT $?, N? FROM [dbo].[t]"),
        ("firebird", "SELECT 5 FROM t WHERE a = ?", "SELECT ? FROM t WHERE a = ?"),
        ("firebird", "SELECT 'x' FROM t", ""),
    ],
)
def test_literals_go_and_placeholders_stay(dialect: str, statement: str, text: str) -> None:
    """Each dialect's own quoting; one that is not known is told only where nothing is quoted."""
    assert describe(statement, dialect).text == text


def test_of_an_unknown_dialect_with_quotes_only_the_first_word_is_told() -> None:
    """Where a literal ends is anybody's guess there."""
    assert describe("select q'{it's}' from t", "firebird")[1:] == ("SELECT", "SELECT")
    assert describe("{'x'} from t", "firebird")[1:] == ("", "")


QUOTED: dict[Style, list[tuple[str, str, tuple[tuple[str, str], ...]]]] = {
    "standard": [("'", "'", (("'", "''"),))],
    "postgresql": [
        ("'", "'", (("'", "''"),)),
        ("E'", "'", (("\\", "\\\\"), ("'", "\\'"))),
        ("$q$", "$q$", (("$", ""),)),
    ],
    "mysql": [
        ("'", "'", (("\\", "\\\\"), ("'", "\\'"))),
        ("'", "'", (("\\", "\\\\"), ("'", "''"))),
        ('"', '"', (("\\", "\\\\"), ('"', '\\"'))),
    ],
    "oracle": [("'", "'", (("'", "''"),)), ("q'[", "]'", (("]", ""),)), ("q'~", "~'", (("~", ""),))],
}


@given(st.data(), st.sampled_from(sorted(STYLES)))
def test_no_literal_is_ever_told(data: st.DataObject, dialect: str) -> None:
    """Whatever is inside, however it is quoted, whatever comes before, and wherever the statement is cut off."""
    statement, secrets = "SELECT a FROM t WHERE", 0
    for _ in range(data.draw(st.integers(1, 4))):
        opening, closing, escapes = data.draw(st.sampled_from(QUOTED[STYLES[dialect]]))
        content = data.draw(st.text("ab'\"\\$-/*#;]~ \n", max_size=8)) + "s3cr3t" + data.draw(st.text("'\"\\$]~ ab"))
        for plain, escaped in escapes:
            content = content.replace(plain, escaped)
        statement += f" a = {opening}{content}{closing} AND"
        secrets += 1
    whole = describe(statement, dialect)
    assert whole.text == "SELECT a FROM t WHERE" + " a = ? AND" * secrets  # noqa: S608 - nobody runs it
    assert whole.summary == "SELECT t"
    cut = describe(statement[: data.draw(st.integers(0, len(statement)))], dialect)
    assert "s3cr3t" not in f"{cut.text}{cut.summary}"


@given(st.text(), st.sampled_from([*STYLES, "firebird"]))
def test_any_text_is_a_statement(statement: str, dialect: str) -> None:
    """Nothing raises, and the tokens are the whole of it."""
    found = describe(statement, dialect)
    assert len(found.summary) <= MAX_SUMMARY
    if dialect in STYLES:
        assert "".join(token.text for token in tokens(statement, STYLES[dialect])) == statement


def test_a_long_statement_is_cut_off_without_telling_the_literal_there() -> None:
    """Only its beginning is looked at."""
    text = describe("INSERT INTO t VALUES " + "('s3cr3t')," * 10_000, "sqlite").text
    assert len(text) < MAX_LENGTH
    assert "s3c" not in text
    assert text.endswith(" ...")
