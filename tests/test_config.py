"""Settings: one table, one precedence, errors that name key, source and value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from mirante.config import EnvName, SdkSettings, entries, milliseconds, resolve, setting
from mirante.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Retention:
    """A section."""

    metrics_days: int = setting(30, "Days.", env=("PROMETHEUS_RETENTION_DAYS",))


@dataclass(frozen=True, slots=True)
class Table:
    """One setting of each type."""

    name: str = setting("x", "A name.")
    count: int = setting(1, "A number.")
    wait: float = setting(1.0, "A duration.", env=(EnvName("OTEL_WAIT", milliseconds),))
    on: bool = setting(False, "A switch.")
    folder: Path = setting(Path("here"), "A folder.")
    file: Path | None = setting(None, "A file.")
    note: str | None = setting(None, "A note.")
    retention: Retention = Retention()


def written(tmp_path: Path, text: str) -> Path:
    """A TOML file with that text."""
    path = tmp_path / "mirante.toml"
    path.write_text(text)
    return path


def test_without_any_word_the_defaults_hold() -> None:
    """Nothing said anywhere gives the table's own defaults."""
    assert resolve(Table, environ={}) == Table()


def test_code_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    """The precedence is the same for every key, sections included."""
    file = written(tmp_path, 'name = "file"\ncount = 5\nwait = "2m"\n[retention]\nmetrics_days = 7\n')
    environ = {"MIRANTE_NAME": "environment", "MIRANTE_COUNT": "6", "PROMETHEUS_RETENTION_DAYS": "8"}
    got = resolve(Table, code={"name": "code", "count": None}, environ=environ, file=file)
    assert got == Table(name="code", count=6, wait=120.0, retention=Retention(8))


def test_our_own_variable_wins_over_one_of_another_tool_and_empty_counts_as_unset() -> None:
    """``MIRANTE_X`` is more specific than what other tools define; an empty one says nothing."""
    both = {"MIRANTE_WAIT": "3", "OTEL_WAIT": "4000"}
    assert resolve(Table, environ=both).wait == 3.0
    assert resolve(Table, environ={"MIRANTE_WAIT": "", "OTEL_WAIT": "4000"}).wait == 4.0


@pytest.mark.parametrize("text", ["1", "TRUE", "yes", "On"])
def test_a_switch_takes_the_usual_words(text: str) -> None:
    """The spellings that people use for true."""
    assert resolve(Table, environ={"MIRANTE_ON": text}).on is True


def test_values_of_every_type_are_taken_from_code() -> None:
    """Typed values pass, and a path written with ~ is expanded."""
    got = resolve(
        Table, code={"on": True, "count": 4, "wait": 2, "folder": Path("a"), "file": "~/b", "note": "n"}, environ={}
    )
    assert (got.on, got.count, got.wait, got.folder, got.note) == (True, 4, 2.0, Path("a"), "n")
    assert got.file == Path("~/b").expanduser()


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"MIRANTE_COUNT": "many"},
            "environment variable MIRANTE_COUNT: count = 'many' cannot be used: .*whole number",
        ),
        ({"MIRANTE_ON": "perhaps"}, "MIRANTE_ON: on = 'perhaps' .*true or false"),
        ({"MIRANTE_WAIT": "1 fortnight"}, "MIRANTE_WAIT: .*not a valid duration"),
        ({"OTEL_WAIT": "soon"}, "environment variable OTEL_WAIT: wait = 'soon'"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_key_source_and_value(
    environ: dict[str, str], message: str
) -> None:
    """The error says which variable, which key, what stood there and why not."""
    with pytest.raises(ConfigError, match=message):
        resolve(Table, environ=environ)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae = 1", r'mirante.toml: unknown key "nmae" \(did you mean "name"\?\)'),
        (
            "[retention]\nmetric_days = 1",
            r'unknown key "retention.metric_days" \(did you mean "retention.metrics_days"',
        ),
        ("[zzz]", 'unknown key "zzz"'),
        ("name = 3", "name = 3 cannot be used: expected text"),
        ("count = true", "count = True cannot be used"),
        ("count = 1.5", "count = 1.5 cannot be used"),
        ("wait = true", "expected seconds"),
        ("folder = 1", "expected text"),
        ("name = ", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    """Unknown keys get a suggestion, wrong values and wrong TOML the reason."""
    with pytest.raises(ConfigError, match=message) as caught:
        resolve(Table, environ={}, file=written(tmp_path, text))
    assert "mirante.toml" in str(caught.value.source)


def test_a_missing_file_is_an_error_that_says_so(tmp_path: Path) -> None:
    """A file that was asked for must be there."""
    with pytest.raises(ConfigError, match="absent.toml: cannot be read: No such file"):
        resolve(Table, environ={}, file=tmp_path / "absent.toml")


def test_an_unknown_key_in_code_is_refused_and_flags_are_named_as_flags() -> None:
    """The source in the message is what the user typed."""
    with pytest.raises(ConfigError, match='code: unknown key "nope"'):
        resolve(Table, code={"nope": 1}, environ={})
    with pytest.raises(ConfigError, match="--retention-metrics-days: "):
        resolve(Table, code={"retention.metrics_days": "x"}, environ={}, flags=True)


def test_the_sdk_reads_its_own_section_of_the_file_and_the_server_leaves_it_alone(tmp_path: Path) -> None:
    """One file can hold both halves."""
    file = written(tmp_path, 'count = 2\n[sdk]\nservice_name = "orders"\n')
    assert resolve(SdkSettings, environ={}, file=file, section="sdk").service_name == "orders"
    assert resolve(Table, environ={}, file=file).count == 2


def test_every_row_says_its_key_flag_and_variables() -> None:
    """Documentation and command line are made from these rows."""
    row = {row.key: row for row in entries(Table)}["retention.metrics_days"]
    assert (row.flag, row.default, row.help) == ("--retention-metrics-days", 30, "Days.")
    assert [name.name for name in row.env] == ["MIRANTE_RETENTION_METRICS_DAYS", "PROMETHEUS_RETENTION_DAYS"]


def test_headers_which_may_hold_a_token_are_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in a ``repr`` nor where they cannot be used."""
    good = resolve(SdkSettings, environ={"OTEL_EXPORTER_OTLP_HEADERS": "authorization=geheim"})
    assert good.metrics_headers == "authorization=geheim"
    assert "geheim" not in repr(good)
    resolve(SdkSettings, environ={"OTEL_EXPORTER_OTLP_HEADERS": "geheim"})
    assert "OTEL_EXPORTER_OTLP_HEADERS=<secret> cannot be used and is ignored" in caplog.text
    with pytest.raises(ConfigError, match="metrics_headers = <secret> cannot be used: expected key=value"):
        resolve(SdkSettings, environ={"MIRANTE_METRICS_HEADERS": "geheim"})
