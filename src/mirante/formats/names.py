"""Names of metrics and labels that every Prometheus knows; others are written in quotes, and only new ones take them.

Source: Prometheus documentation, "Data model".
"""

from __future__ import annotations

import re

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
"""A whole name of a metric."""
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
"""A whole name of a label."""
