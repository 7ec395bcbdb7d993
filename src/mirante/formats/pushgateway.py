"""Where a Pushgateway keeps a group of metrics.

Source: the Pushgateway's README, "API".
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from urllib.parse import quote

from mirante.errors import DeclarationError
from mirante.formats.names import LABEL_NAME


def group_path(job: str, grouping_key: Mapping[str, str]) -> str:
    """The path of a group.

    Args:
        job: value of the label ``job``.
        grouping_key: further labels.

    Raises:
        DeclarationError: the job is empty or a label's name is none.

    Example:
        >>> group_path("backup", {"path": "/var/tmp", "disk": ""})
        '/metrics/job/backup/path@base64/L3Zhci90bXA=/disk@base64/='
    """
    if not job:
        raise DeclarationError("Pushgateway: job must not be empty")
    for name in grouping_key:
        if not LABEL_NAME.fullmatch(name) or name.startswith("__") or name == "job":
            raise DeclarationError(f"Pushgateway: {name!r} cannot be a label of the grouping key")
    return "/metrics" + "".join(_segment(name, value) for name, value in {"job": job, **grouping_key}.items())


def _segment(name: str, value: str) -> str:
    raw = value.encode("utf-8", "replace")
    if "/" in value or value in ("", ".", ".."):  # a router would take them for something else
        return f"/{name}@base64/{urlsafe_b64encode(raw).decode() or '='}"
    return f"/{name}/{quote(raw, safe='')}"
