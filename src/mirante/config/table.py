"""Settings: typed tables, and the one function that owns precedence (code > environment > file > default).

A table is a frozen dataclass whose fields are made by :func:`setting`; a field that is such a dataclass itself is a
section. The key ``retention.metrics_days`` is, by one rule, the TOML key ``metrics_days`` in ``[retention]``, the
variable ``MIRANTE_RETENTION_METRICS_DAYS`` and the flag ``--retention-metrics-days``. Nothing is read at import.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints

from mirante._core.guard import REPORTER
from mirante.config.parsers import PARSERS, Parser
from mirante.errors import ConfigError

T = TypeVar("T")


SECRET = "<secret>"  # noqa: S105 - the very opposite
"""What is shown of a secret."""


class EnvName(NamedTuple):
    """A variable that other tools already define, with its own way to write the value."""

    name: str
    parse: Parser | None = None


class Entry(NamedTuple):
    """One row of a table of settings, as documentation and command line need it."""

    key: str
    type: Any
    default: Any
    help: str
    env: tuple[EnvName, ...]
    parse: Parser
    secret: bool = False

    @property
    def flag(self) -> str:
        """The command-line spelling."""
        return "--" + self.key.replace(".", "-").replace("_", "-")


def setting(
    default: Any,  # noqa: ANN401 - the same
    help: str,
    *,
    env: tuple[str | EnvName, ...] = (),
    parse: Parser | None = None,
    secret: bool = False,
) -> Any:  # noqa: ANN401 - the same
    """A field of a settings table.

    Args:
        default: the value when nobody says otherwise.
        help: one sentence for the reference and ``--help``, with the unit.
        env: variables honoured besides ``MIRANTE_<KEY>``, which wins over them.
        parse: turns what was written into the value; raises ValueError. Chosen by the field's type when not given.
        secret: the value stands in no ``repr``, error or page.
    """
    names = tuple(name if isinstance(name, EnvName) else EnvName(name) for name in env)
    return field(
        default=default, repr=not secret, metadata={"help": help, "env": names, "parse": parse, "secret": secret}
    )


def lenient(name: str, parse: Parser, default: object, *, secret: bool = False) -> EnvName:
    """A variable of OpenTelemetry's: what cannot be used is told and counts as not said, as its specification asks.

    The same value in code, in the file or in one of our own variables is an error.
    """

    def read(value: object) -> object:
        try:
            return parse(value)
        except ValueError as error:
            shown = SECRET if secret else repr(value)
            REPORTER.warn(name, f"{name}={shown} cannot be used and is ignored: {error}")
            return default

    return EnvName(name, read)


def entries(table: type[Any], prefix: str = "") -> Iterator[Entry]:
    """The rows of a table, sections flattened to dotted keys."""
    hints = get_type_hints(table)
    for column in fields(table):
        key = prefix + column.name
        kind = hints[column.name]
        if is_dataclass(kind) and isinstance(kind, type):
            yield from entries(kind, key + ".")
            continue
        own = EnvName("MIRANTE_" + key.replace(".", "_").upper())
        parse = column.metadata["parse"] or PARSERS[kind]
        yield Entry(
            key,
            kind,
            column.default,
            column.metadata["help"],
            (own, *column.metadata["env"]),
            parse,
            column.metadata["secret"],
        )


@dataclass(frozen=True, slots=True)
class _Written:
    """A value as somebody wrote it, and where."""

    value: object
    source: str
    parse: Parser


def resolve(
    table: type[T],
    *,
    code: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
    section: str | None = None,
    flags: bool = False,
) -> T:
    """Settle every setting of a table: code wins over environment, environment over file, file over default.

    Args:
        table: the dataclass that declares the settings.
        code: values by dotted key, from arguments or flags; None means "not said".
        environ: variables; ``os.environ`` when not given. An empty variable counts as not set.
        file: a TOML file.
        flags: ``code`` holds command-line flags, so that errors name the flag.
        section: read only this top-level table of the file; otherwise ``[sdk]`` is skipped, which is the SDK's.

    Raises:
        ConfigError: a key is unknown, a value cannot be used, or the file cannot be read; names key and source.

    Example:
        >>> @dataclass(frozen=True)
        ... class Server:
        ...     port: int = setting(8503, "TCP port.")
        >>> resolve(Server, code={"port": None}, environ={"MIRANTE_PORT": "9000"})
        Server(port=9000)
    """
    rows = {row.key: row for row in entries(table)}
    values: dict[str, Any] = {}
    written = dict(_from_file(rows, file, section)) if file else {}
    written.update(_from_environment(rows, os.environ if environ is None else environ))
    written.update(_from_code(rows, code or {}, flags=flags))
    for key, found in written.items():
        try:
            values[key] = found.parse(found.value)
        except ValueError as error:
            shown = SECRET if rows[key].secret else repr(found.value)
            raise ConfigError(
                f"{found.source}: {key} = {shown} cannot be used: {error}", key=key, source=found.source
            ) from None
    return _build(table, values)


def _build(table: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    hints = get_type_hints(table)
    arguments: dict[str, Any] = {}
    for column in fields(table):  # type: ignore[arg-type] # T is a settings dataclass by contract
        key = prefix + column.name
        kind = hints[column.name]
        if is_dataclass(kind) and isinstance(kind, type):
            arguments[column.name] = _build(kind, values, key + ".")
        elif key in values:
            arguments[column.name] = values[key]
    return table(**arguments)


def _from_code(rows: Mapping[str, Entry], code: Mapping[str, object], *, flags: bool) -> Iterator[tuple[str, _Written]]:
    for key, value in code.items():
        if key not in rows:
            raise unknown_key(key, rows, "code")
        if value is not None:
            yield key, _Written(value, rows[key].flag if flags else "code", rows[key].parse)


def _from_environment(rows: Mapping[str, Entry], environ: Mapping[str, str]) -> Iterator[tuple[str, _Written]]:
    for key, row in rows.items():
        for name, parse in row.env:
            if environ.get(name):
                yield key, _Written(environ[name], f"environment variable {name}", parse or row.parse)
                break


def _from_file(rows: Mapping[str, Entry], file: Path, section: str | None) -> Iterator[tuple[str, _Written]]:
    tree = _read_toml(file)
    if section is not None:
        tree = tree.get(section, {})
    else:
        tree.pop("sdk", None)
    for key, value in _flatten(tree, rows):
        if key not in rows:
            raise unknown_key(key, rows, str(file))
        yield key, _Written(value, str(file), rows[key].parse)


def _read_toml(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}", source=str(file)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}", source=str(file)) from None


def _flatten(tree: Mapping[str, Any], rows: Mapping[str, Entry], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in tree.items():
        key = prefix + name
        if isinstance(value, dict) and key not in rows:
            yield from _flatten(value, rows, key + ".") if value else [(key, value)]
        else:
            yield key, value


def unknown_key(key: str, known: Mapping[str, object], source: str) -> ConfigError:
    """The error for a key that nobody knows, with the nearest known one as a suggestion."""
    near = difflib.get_close_matches(key, known, n=1)
    hint = f' (did you mean "{near[0]}"?)' if near else ""
    return ConfigError(f'{source}: unknown key "{key}"{hint}', key=key, source=source)
