"""Reads files of objectives, of our own shape and of OpenSLO's, and tells everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from glob import glob
from pathlib import Path

from mirante.errors import ConfigError
from mirante.server.rules.read import parse_rules
from mirante.server.slo.model import Slo
from mirante.server.slo.openslo import Documents, is_openslo
from mirante.server.slo.own import items_of, read_slo
from mirante.server.slo.rules import rule_file
from mirante.server.yaml_reader import Value, parse_yaml_documents, read_text

_SHIPPED = Path(__file__).parent / "shipped"


def slo_files(patterns: Iterable[str]) -> list[Path]:
    """The files that patterns stand for, each once; the name of a file that ships, ``agents``, stands for that.

    Raises:
        ConfigError: a pattern stands for no file.
    """
    return list(dict.fromkeys(path for pattern in patterns for path in _matching(pattern)))


def _matching(pattern: str) -> list[Path]:
    files = [Path(name) for name in sorted(glob(pattern))]  # noqa: PTH207 - Path.glob takes no absolute pattern
    shipped = {path.stem: path for path in sorted(_SHIPPED.glob("*.yml"))}
    if not files and pattern in shipped:
        return [shipped[pattern]]
    if not files:
        raise ConfigError(f"{pattern}: there is no such file of objectives; those that ship: {', '.join(shipped)}")
    return files


def read_slos(files: Iterable[Path]) -> tuple[Slo, ...]:
    """The objectives of files; those of OpenSLO may refer to each other.

    Raises:
        ConfigError: a file cannot be used; a line for everything that is wrong with any of them.
    """
    found = _Found()
    for file in files:
        found.attempt(lambda file=file: found.add(read_text(file), str(file)))  # type: ignore[misc] # called at once
    return found.all()


def parse_slos(texts: Mapping[str, str]) -> tuple[Slo, ...]:
    """The objectives of texts, by the names of their files.

    Raises:
        ConfigError: one cannot be used; a line for everything that is wrong with any of them.

    Example:
        >>> text = "slos: [{name: up, service: shop, objective: 99%, indicator: {good: ok_total, total: all_total}}]"
        >>> parse_slos({"shop.yml": text})[0].percent
        99.0
    """
    found = _Found()
    for source, text in texts.items():
        found.attempt(partial(found.add, text, source))
    return found.all()


class _Found:
    """Collects objectives, and what is wrong."""

    def __init__(self) -> None:
        self._slos: list[Slo] = []
        self._problems: list[str] = []
        self._openslo = Documents()

    def attempt(self, work: Callable[[], object]) -> None:
        """Do something; keep its error for later."""
        try:
            work()
        except ConfigError as error:
            self._problems.append(str(error))

    def add(self, text: str, source: str) -> None:
        """What a text has."""
        for document in parse_yaml_documents(text, source):
            self.attempt(partial(self._openslo.add if is_openslo(document) else self._add_own, document))

    def _add_own(self, document: Value) -> None:
        for item in items_of(document):
            self.attempt(lambda item=item: self._slos.append(read_slo(item)))  # type: ignore[misc] # called at once

    def all(self) -> tuple[Slo, ...]:
        """Everything, if it is right."""
        for slos in self._openslo.slos():
            self.attempt(lambda slos=slos: self._slos.extend(slos()))  # type: ignore[misc] # called at once
        first: dict[tuple[str, str], str] = {}
        for slo in self._slos:
            before = first.setdefault((slo.service, slo.name), slo.source)
            if before != slo.source:
                self._problems.append(f'{slo.source}: "{slo.name}" of {slo.service} stands in {before} already')
            self.attempt(partial(_check_rules, slo))
        if self._problems:
            raise ConfigError("\n".join(self._problems))
        return tuple(self._slos)


def _check_rules(slo: Slo) -> None:
    """An expression that is right alone may be wrong in what is made of it, and a template in an annotation too."""
    try:
        parse_rules(rule_file([slo]), "rules")
    except ConfigError as error:
        raise ConfigError(f"{slo.source}: the rules made of it cannot be used: {error}") from None
