"""Target groups as files and HTTP servers write them: a list of ``{"targets": [...], "labels": {...}}``.

Source: prometheus.io, "Configuration", sections ``file_sd_config`` and ``http_sd_config``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from mirante.errors import FormatError
from mirante.server.scrape.model import TargetGroup
from mirante.server.scrape.sd_config import read_group
from mirante.server.yaml_reader import read_yaml_value


def groups_of_file(path: Path, extra: Mapping[str, str]) -> list[TargetGroup]:
    """Read a file: JSON if it ends so, otherwise YAML.

    Raises:
        FormatError: it is no JSON, or no list of target groups.
        ConfigError: it is no YAML, or no list of target groups; the message names file and line.
        OSError: it cannot be read.
    """
    if path.suffix.lower() == ".json":
        return groups_of_json(path.read_bytes(), str(path), extra)
    return groups_of_yaml(path, extra)


def groups_of_json(text: bytes, source: str, extra: Mapping[str, str]) -> list[TargetGroup]:
    """Read JSON.

    Args:
        text: the document.
        source: where it comes from.
        extra: labels that every group gets.

    Raises:
        FormatError: it is no JSON, or no list of target groups.

    Example:
        >>> groups_of_json(b'[{"targets": ["shop:8000"]}]', "x.json", {"__meta_filepath": "x.json"})[0].targets
        ({'__address__': 'shop:8000'},)
    """
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FormatError(f"is not JSON: {error}") from None
    if not isinstance(data, list):
        raise FormatError("expected a list of target groups")
    return [_group(item, f"{source}:{i}", f"[{i}]", extra) for i, item in enumerate(data)]


def groups_of_yaml(path: Path, extra: Mapping[str, str]) -> list[TargetGroup]:
    """Read a YAML file.

    Raises:
        ConfigError: it cannot be read, is no YAML, or no list of target groups; the message names file and line.
    """
    groups = [read_group(item, f"{path}:{i}") for i, item in enumerate(read_yaml_value(path).items())]
    return [TargetGroup(group.source, group.targets, {**group.labels, **extra}) for group in groups]


def _group(item: Any, source: str, at: str, extra: Mapping[str, str]) -> TargetGroup:  # noqa: ANN401 - any JSON
    if not isinstance(item, dict):
        raise FormatError(f"{at}: expected an object with targets and labels")
    unknown = item.keys() - {"targets", "labels"}
    if unknown:
        raise FormatError(f'{at}: unknown key "{min(unknown)}"; there are targets and labels')
    targets, labels = item.get("targets") or [], item.get("labels") or {}
    if not isinstance(targets, list) or not all(isinstance(address, str) for address in targets):
        raise FormatError(f"{at}.targets: expected a list of host:port texts")
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise FormatError(f"{at}.labels: expected an object of texts")
    return TargetGroup(source, tuple({"__address__": address} for address in targets), {**labels, **extra})
