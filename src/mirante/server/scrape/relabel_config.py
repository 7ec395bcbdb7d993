"""Reads ``relabel_configs`` and ``metric_relabel_configs``.

Source: prometheus.io, "Configuration", section ``relabel_config``.
"""

from __future__ import annotations

import re
from functools import partial

from mirante.server.scrape.relabel import ACTIONS, DEFAULT_REGEX, Action, RelabelRule, compile_regex
from mirante.server.yaml_reader import Value


def read_rules(value: Value) -> tuple[RelabelRule, ...]:
    """The rules of a list, in its order."""
    return tuple(_read_rule(item) for item in value.items())


def _read_rule(value: Value) -> RelabelRule:
    section = value.section()
    read = partial(
        RelabelRule,
        source_labels=section.take("source_labels", Value.texts, ()),
        separator=section.take("separator", Value.text, ";"),
        regex=section.take("regex", _read_regex, DEFAULT_REGEX),
        modulus=section.take("modulus", Value.count, 0),
        target_label=section.take("target_label", Value.text, ""),
        replacement=section.take("replacement", Value.text, "$1"),
        action=section.take("action", _read_action, "replace"),
    )
    section.finish()
    try:
        return read()
    except ValueError as error:
        value.fail(str(error))


def _read_action(value: Value) -> Action:
    action = value.text().lower()
    known = next((a for a in ACTIONS if a == action), None)
    return known or value.fail(f'unknown relabel action "{action}"; there are {", ".join(ACTIONS)}')


def _read_regex(value: Value) -> re.Pattern[str]:
    try:
        return compile_regex(value.text())
    except ValueError as error:
        value.fail(str(error))
