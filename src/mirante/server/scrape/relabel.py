r"""Relabeling: rules that rewrite, keep or drop a label set.

Source: prometheus.io, "Configuration", section ``relabel_config``. Regular expressions are Python's ``re``, anchored at
both ends, with ``.`` matching line ends and ``\d``, ``\w``, ``\s`` meaning ASCII, as in RE2; what RE2 has and ``re``
does not (``\pL``, ``\z``) is refused when the configuration is read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from mirante.server.re2 import REFERENCE

Action = Literal[
    "replace",
    "keep",
    "drop",
    "keepequal",
    "dropequal",
    "hashmod",
    "labelmap",
    "labeldrop",
    "labelkeep",
    "lowercase",
    "uppercase",
]
ACTIONS: tuple[Action, ...] = get_args(Action)

_CLASS = re.compile(r"(\[\^?[^\]\[]*)\[:(\^?\w+):\]")
_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7f", "blank": r"\t ", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\x5b-`{-~",
    "space": r"\t\n\v\f\r ", "upper": "A-Z", "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
"""POSIX classes of RE2, which Python does not know, as they are written between brackets."""


def _without_classes(text: str) -> str:
    while found := _CLASS.search(text):
        spelled = _CLASSES.get(found[2])
        if spelled is None:
            raise ValueError(f'regular expression "{text}" cannot be used: [:{found[2]}:] is no class known here')
        text = text[: found.start()] + found[1] + spelled + text[found.end() :]
    return text


def compile_regex(text: str) -> re.Pattern[str]:
    """Compile a regular expression of a configuration; use it with ``fullmatch``.

    Raises:
        ValueError: it is not a regular expression that both RE2 and Python understand.
    """
    try:
        return re.compile(_without_classes(text), re.DOTALL | re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f'regular expression "{text}" cannot be used: {error}') from None


DEFAULT_REGEX = compile_regex("(.*)")


@dataclass(frozen=True, slots=True)
class RelabelRule:
    """One entry of ``relabel_configs`` or ``metric_relabel_configs``; the fields are Prometheus's.

    Raises:
        ValueError: the action lacks a field that it needs, or has one that it cannot use.
    """

    source_labels: tuple[str, ...] = ()
    separator: str = ";"
    regex: re.Pattern[str] = DEFAULT_REGEX
    modulus: int = 0
    target_label: str = ""
    replacement: str = "$1"
    action: Action = "replace"

    def __post_init__(self) -> None:
        if self.action not in {"keep", "drop", "labelmap", "labeldrop", "labelkeep"} and not self.target_label:
            raise ValueError(f"relabel configuration for {self.action} action requires 'target_label' value")
        if self.action == "hashmod" and not self.modulus:
            raise ValueError("relabel configuration for hashmod requires non-zero modulus")
        changed = {name for name in _DEFAULTS if getattr(self, name) != _DEFAULTS[name]}
        if self.action in {"labeldrop", "labelkeep"} and changed - {"regex"}:
            raise ValueError(f"{self.action} action requires only 'regex', and no other fields")
        if self.action in {"keepequal", "dropequal"} and changed - {"source_labels", "target_label"}:
            raise ValueError(
                f"{self.action} action requires only 'source_labels' and 'target_label', and no other fields"
            )
        if self.action in {"lowercase", "uppercase"} and "replacement" in changed:
            raise ValueError(f"'replacement' can not be set for {self.action} action")

    def apply(self, labels: dict[str, str]) -> bool:
        """Change the labels in place; false when the rule drops the whole set."""
        match self.action:
            case "labelmap":
                self._map_names(labels)
            case "labeldrop" | "labelkeep":
                for name in [n for n in labels if bool(self.regex.fullmatch(n)) == (self.action == "labeldrop")]:
                    del labels[name]
            case _:
                value = self.separator.join(labels.get(name, "") for name in self.source_labels)
                return self._apply_to(value, labels)
        return True

    def _apply_to(self, value: str, labels: dict[str, str]) -> bool:
        match self.action:
            case "keep" | "drop":
                return bool(self.regex.fullmatch(value)) == (self.action == "keep")
            case "keepequal" | "dropequal":
                return (labels.get(self.target_label, "") == value) == (self.action == "keepequal")
            case "hashmod":
                # The last eight bytes, so that shards agree with those of every Prometheus.
                digest = hashlib.md5(value.encode(), usedforsecurity=False).digest()
                labels[self.target_label] = str(int.from_bytes(digest[8:], "big") % self.modulus)
            case "lowercase":
                labels[self.target_label] = value.lower()
            case "uppercase":
                labels[self.target_label] = value.upper()
            case _:
                self._replace(value, labels)
        return True

    def _replace(self, value: str, labels: dict[str, str]) -> None:
        found = self.regex.fullmatch(value)
        if found is None:
            return
        target = expand(self.target_label, found)
        if target:
            labels[target] = expand(self.replacement, found)

    def _map_names(self, labels: dict[str, str]) -> None:
        for name, value in list(labels.items()):
            found = self.regex.fullmatch(name)
            if found is not None:
                labels[expand(self.replacement, found)] = value


_DEFAULTS = {
    "source_labels": (),
    "separator": ";",
    "regex": DEFAULT_REGEX,
    "modulus": 0,
    "target_label": "",
    "replacement": "$1",
}


def relabel(labels: Mapping[str, str], rules: Sequence[RelabelRule]) -> dict[str, str] | None:
    """Apply the rules in order; None when one of them dropped the set. Empty values are no labels and are left out.

    Example:
        >>> rule = RelabelRule(source_labels=("path",), regex=compile_regex("/(v1)/.*"), target_label="api")
        >>> relabel({"path": "/v1/users"}, [rule])
        {'path': '/v1/users', 'api': 'v1'}
    """
    changed = dict(labels)
    for rule in rules:
        if not rule.apply(changed):
            return None
    return {name: value for name, value in changed.items() if value}


def expand(template: str, found: re.Match[str]) -> str:
    """Fill a template the way Go's ``Expand`` does: ``$1``, ``${1}``, ``$name``, ``$$``; an unknown one is ''.

    Example:
        >>> found = compile_regex("(a)(?P<rest>.*)").fullmatch("abc")
        >>> expand("$1-${rest}-$1x-$$", found) if found else None
        'a-bc--$'
    """

    def group(reference: re.Match[str]) -> str:
        name = reference[2] or reference[3]
        if name is None:
            return "$"
        try:
            return found[int(name) if name.isdecimal() else name] or ""
        except IndexError:
            return ""

    return REFERENCE.sub(group, template) if "$" in template else template
