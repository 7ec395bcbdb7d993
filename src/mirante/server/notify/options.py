"""The keys of an entry as a table: each row says how a key is read, what it is when it is not given, and from where.

A kind of integration is such a table and a function that settles what no single key can say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mirante.server.http_client.model import PLAIN, HttpClient, Secret
from mirante.server.notify import config_values as read
from mirante.server.notify.model import Integration
from mirante.server.yaml_reader import Section, Value

NOTHING = Secret()


@dataclass(frozen=True, slots=True)
class Option:
    """One key.

    Attributes:
        name: of the key.
        read: reads its value.
        default: its value when it is not given.
        inherited: key of the ``global`` section that stands in for it.
        required: whether one of the two must say something.
        secret: whether ``NAME_file`` may name a file instead; the value is a ``Secret``.
    """

    name: str
    read: Callable[[Value], object] = read.text
    default: Any = ""
    inherited: str = ""
    required: bool = False
    secret: bool = False

    @property
    def templated(self) -> bool:
        """Whether its value is a template."""
        return self.read is read.template

    def take(self, section: Section) -> Any:  # noqa: ANN401 - each key has its own type
        """Its value in that mapping."""
        if self.secret:
            return self._take_secret(section)
        # A text that is given as null is empty, as in Alertmanager: so one does without a default.
        blank = section.gives(self.name) and self.read in {read.text, read.template}
        return section.take(self.name, self.read, "" if blank else self.default)

    def _take_secret(self, section: Section) -> Secret:
        given = str(section.take(self.name, self.read, ""))
        file = section.take(f"{self.name}_file", read.text, "")
        if given and file:
            section.value.fail(f"at most one of {self.name} and {self.name}_file may be given")
        return Secret(given, read.folder_of(section.value) / file if file else None)


def named_template(name: str) -> str:
    """The text that uses a template of that name."""
    return f'{{{{ template "{name}" . }}}}'


def template(name: str, default: str = "") -> Option:
    """A key whose value is a template; the default may be the name of one (``slack.default.title``)."""
    return Option(name, read.template, named_template(default) if ".default." in default else default)


def switch(name: str, *, default: bool = False) -> Option:
    """A key that is true or false."""
    return Option(name, read.flag, default)


def optional(name: str, reader: Callable[[Value], object]) -> Option:
    """A key that is None when it is not given."""
    return Option(name, reader, None)


def secret(
    name: str, reader: Callable[[Value], object] = read.text, inherited: str = "", *, required: bool = False
) -> Option:
    """A key whose value nobody may see."""
    return Option(name, reader, NOTHING, inherited, required, secret=True)


@dataclass(slots=True)
class Entry:
    """An entry while it is read; the function of its kind checks and completes it.

    Attributes:
        options: what the table yields.
        http: how requests are made.
        own_http: what the entry itself says of that, None for nothing.
        defaults: the ``global`` section.
        value: where it stands.
    """

    options: dict[str, Any]
    http: HttpClient
    own_http: HttpClient | None
    defaults: Mapping[str, Any]
    value: Value

    def has(self, name: str) -> bool:
        """Whether an option says something."""
        return self.options[name] not in ("", (), None, NOTHING)

    def fail(self, message: str) -> NoReturn:
        """Raise the ConfigError that says where the entry stands."""
        self.value.fail(message)


def _settled(entry: Entry) -> None:
    del entry


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of telling people.

    Attributes:
        name: without ``_configs``.
        options: its keys.
        send_resolved: default of the key of that name.
        over_http: whether it has an ``http_config``.
        settle: checks and completes an entry.
    """

    name: str
    options: tuple[Option, ...]
    send_resolved: bool = True
    over_http: bool = True
    settle: Callable[[Entry], None] = _settled

    @property
    def templated(self) -> frozenset[str]:
        """Names of the keys that are templates."""
        return frozenset(option.name for option in self.options if option.templated)

    def read(self, section: Section, index: int, defaults: Mapping[str, Any]) -> Integration:
        """One entry.

        Args:
            section: the entry.
            index: its place among those of its kind in its receiver.
            defaults: the ``global`` section.
        """
        options = take_options(self.options, section)
        http = section.take("http_config", read.http_config, None) if self.over_http else None
        send_resolved = section.take("send_resolved", read.flag, self.send_resolved)
        section.finish()
        entry = Entry(options, defaults["http_config"] if http is None else http, http, defaults, section.value)
        for option in self.options:
            self._inherit(option, entry, defaults)
        self.settle(entry)
        return Integration(self.name, index, entry.options, send_resolved, entry.http if self.over_http else PLAIN)

    def _inherit(self, option: Option, entry: Entry, defaults: Mapping[str, Any]) -> None:
        if option.inherited and entry.options[option.name] == option.default:
            entry.options[option.name] = defaults[option.inherited]
        if option.required and not entry.has(option.name):
            elsewhere = f", here or as {option.inherited} in the global section" if option.inherited else ""
            entry.fail(f"{option.name} must be given{elsewhere}")


def take_options(options: Iterable[Option], section: Section) -> dict[str, Any]:
    """The values of all keys of a table."""
    return {option.name: option.take(section) for option in options}


def subsection(*options: Option) -> Callable[[Value], dict[str, Any]]:
    """A reader of a mapping with these keys."""

    def read_mapping(value: Value) -> dict[str, Any]:
        section = value.section()
        found = take_options(options, section)
        section.finish()
        for option in options:
            if option.required and found[option.name] == "":
                value.fail(f"{option.name} must be given")
        return found

    return read_mapping


def many(read_one: Callable[[Value], dict[str, Any]]) -> Callable[[Value], tuple[dict[str, Any], ...]]:
    """A reader of a list of mappings."""

    def read_list(value: Value) -> tuple[dict[str, Any], ...]:
        return tuple(read_one(section.value) for section in read.sections(value))

    return read_list
