"""Settings: typed tables, and the one function that owns precedence (code > environment > file > default).

A table is a frozen dataclass whose fields are made by :func:`setting`; a field that is such a dataclass itself is a
section. The key ``retention.metrics_days`` is, by one rule, the TOML key ``metrics_days`` in ``[retention]``, the
variable ``MIRANTE_RETENTION_METRICS_DAYS`` and the flag ``--retention-metrics-days``. Nothing is read at import.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, get_type_hints
from urllib.parse import unquote

from mirante._core.guard import REPORTER
from mirante.errors import ConfigError
from mirante.formats.duration import parse_duration

T = TypeVar("T")
Parser = Callable[[Any], Any]


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

    @property
    def flag(self) -> str:
        """The command-line spelling."""
        return "--" + self.key.replace(".", "-").replace("_", "-")


def setting(default: Any, help: str, *, env: tuple[str | EnvName, ...] = (), parse: Parser | None = None) -> Any:  # noqa: ANN401 - a dataclass field stands in for a value of any type
    """A field of a settings table.

    Args:
        default: the value when nobody says otherwise.
        help: one sentence for the reference and ``--help``, with the unit.
        env: variables honoured besides ``MIRANTE_<KEY>``, which wins over them.
        parse: turns what was written into the value; raises ValueError. Chosen by the field's type when not given.
    """
    names = tuple(name if isinstance(name, EnvName) else EnvName(name) for name in env)
    return field(default=default, metadata={"help": help, "env": names, "parse": parse})


def seconds(value: object) -> float:
    """Seconds from a number, or from text such as ``15s`` or ``1h30m``.

    Raises:
        ValueError: it is neither.

    Example:
        >>> seconds("1m30s"), seconds(5)
        (90.0, 5.0)
    """
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return parse_duration(value) / 1000
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("expected seconds or a duration such as 15s")
    return float(value)


def milliseconds(value: object) -> float:
    """Seconds from a number of milliseconds, as ``OTEL_*`` variables have it."""
    return float(str(value)) / 1000


def one_of(*known: str) -> Parser:
    """A parser of names, in whatever case they are written.

    Example:
        >>> one_of("gzip", "none")(" GZIP ")
        'gzip'
    """

    def parse(value: object) -> str:
        name = str(value).strip().lower()
        if name not in known:
            raise ValueError(f"expected {' or '.join(known) if len(known) < 3 else 'one of ' + ', '.join(known)}")
        return name

    return parse


def whole(least: int) -> Parser:
    """A parser of whole numbers that are ``least`` or more.

    Example:
        >>> whole(1)("12")
        12
    """

    def parse(value: object) -> int:
        try:
            number = int(str(value))
        except ValueError:
            number = least - 1
        if isinstance(value, bool) or number < least:
            raise ValueError(f"expected a whole number, {least} or more")
        return number

    return parse


def headers(value: object) -> str:
    """Headers as ``key=value,key=value``, percent-encoded; checked here, taken apart by ``header_map``."""
    header_map(str(value))
    return str(value)


def header_map(text: str) -> dict[str, str]:
    """Names to values.

    Raises:
        ValueError: a part is no ``key=value``.

    Example:
        >>> header_map("authorization=Bearer%20x,tenant=a")
        {'authorization': 'Bearer x', 'tenant': 'a'}
    """
    found = {}
    for part in filter(None, map(str.strip, text.split(","))):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise ValueError("expected key=value,key=value")
        found[unquote(key.strip()).lower()] = unquote(value.strip())
    return found


def lenient(name: str, parse: Parser, default: object) -> EnvName:
    """A variable of OpenTelemetry's: what cannot be used is told and counts as not said, as its specification asks.

    The same value in code, in the file or in one of our own variables is an error.
    """

    def read(value: object) -> object:
        try:
            return parse(value)
        except ValueError as error:
            REPORTER.warn(name, f"{name}={value!r} cannot be used and is ignored: {error}")
            return default

    return EnvName(name, read)


def _boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return known[str(value).strip().lower()]
    except KeyError:
        raise ValueError("expected true or false") from None


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a whole number")
    try:
        return int(value)
    except ValueError:
        raise ValueError("expected a whole number") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected text")
    return value


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value)).expanduser()


_PARSERS: dict[Any, Parser] = {
    bool: _boolean,
    int: _integer,
    float: seconds,
    str: _text,
    str | None: _text,
    Path: _path,
    Path | None: _path,
}


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
        parse = column.metadata["parse"] or _PARSERS[kind]
        yield Entry(key, kind, column.default, column.metadata["help"], (own, *column.metadata["env"]), parse)


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
            raise ConfigError(
                f"{found.source}: {key} = {found.value!r} cannot be used: {error}", key=key, source=found.source
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


def sent_headers(signal: str, what: str) -> Any:  # noqa: ANN401 - a dataclass field stands in for any type
    """The setting of what is sent with every request of an OTLP signal: ``metrics``, ``traces`` or ``logs``."""
    return setting(
        "",
        f"Headers sent with {what}, as `key=value,key=value`, percent-encoded.",
        env=_of_signal(signal, "HEADERS", headers, ""),
        parse=headers,
    )


def sent_compression(signal: str) -> Any:  # noqa: ANN401 - a dataclass field stands in for any type
    """The setting of how the requests of an OTLP signal are compressed."""
    parse = one_of("gzip", "none")
    env = _of_signal(signal, "COMPRESSION", parse, "gzip")
    return setting("gzip", "Compression of what is sent: `gzip` or `none`.", env=env, parse=parse)


def _of_signal(signal: str, name: str, parse: Parser, default: object) -> tuple[EnvName, ...]:
    """OpenTelemetry's variable of a signal, and the one of all signals, which it wins over."""
    prefix = "OTEL_EXPORTER_OTLP_"
    return lenient(f"{prefix}{signal.upper()}_{name}", parse, default), lenient(prefix + name, parse, default)


@dataclass(frozen=True)
class SdkSettings:
    """What an application can say about its own telemetry."""

    service_name: str = setting(
        "unknown_service", "Name of the service; becomes the `job` label.", env=("OTEL_SERVICE_NAME",)
    )
    endpoint: str | None = setting(
        None,
        "Base URL of the server that takes telemetry; nothing is sent without it.",
        env=("OTEL_EXPORTER_OTLP_ENDPOINT",),
    )
    otlp_protocol: str = setting(
        "http/protobuf",
        "How telemetry is sent: `http/protobuf`, which every OTLP receiver takes.",
        env=(lenient("OTEL_EXPORTER_OTLP_PROTOCOL", one_of("http/protobuf"), "http/protobuf"),),
        parse=one_of("http/protobuf"),
    )
    otlp_certificate: Path | None = setting(
        None,
        "Certificates (PEM) of those who are trusted to take telemetry; the system's when not given.",
        env=("OTEL_EXPORTER_OTLP_CERTIFICATE",),
    )
    otlp_client_certificate: Path | None = setting(
        None, "Certificate chain (PEM) that is shown to them.", env=("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",)
    )
    otlp_client_key: Path | None = setting(
        None,
        "Its private key (PEM), where it is not in the same file.",
        env=("OTEL_EXPORTER_OTLP_CLIENT_KEY",),
    )
    token: str = setting("", "Token that the server asks for, sent as `Authorization: Bearer`.")
    metrics_exporter: str = setting(
        "otlp",
        "Where metrics go besides being scraped: `otlp` or `none`.",
        env=(lenient("OTEL_METRICS_EXPORTER", one_of("otlp", "none"), "otlp"),),
        parse=one_of("otlp", "none"),
    )
    metrics_endpoint: str | None = setting(
        None,
        "The whole URL that takes metrics; the server's `/v1/metrics` when not given.",
        env=("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",),
    )
    metrics_headers: str = sent_headers("metrics", "metrics")
    metrics_compression: str = sent_compression("metrics")
    push_gateway: str | None = setting(
        None,
        "URL of a Prometheus Pushgateway that gets the metrics too, in a group by job and instance.",
        env=("PROMETHEUS_PUSH_GATEWAY",),
    )
    export_interval: float = setting(
        15.0, "Seconds between two exports of metrics.", env=(EnvName("OTEL_METRIC_EXPORT_INTERVAL", milliseconds),)
    )
    export_timeout: float = setting(
        10.0,
        "Seconds that one export may take.",
        env=(
            EnvName("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", milliseconds),
            EnvName("OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds),
        ),
    )
    shutdown_timeout: float = setting(2.0, "Seconds that leaving the process may be delayed to deliver what is left.")
    integrations: str = setting(
        "all", "Libraries that are monitored: `all`, `none` or names separated by commas; `-name` leaves one out."
    )
    uncaught_exceptions: bool = setting(True, "Whether exceptions that nobody catches are logged.")
    disabled: bool = setting(False, "Turn all telemetry off.", env=("OTEL_SDK_DISABLED",))
    resource_attributes: str = setting(
        "", "Attributes of the process, as `key=value,key=value`, percent-encoded.", env=("OTEL_RESOURCE_ATTRIBUTES",)
    )
