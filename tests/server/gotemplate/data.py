"""What the templates of the corpus see."""

from __future__ import annotations

from mirante.server.alert import Alert
from mirante.server.notify.notification import Notification

NOTIFICATION = Notification(
    "1",
    "team.x",
    "email",
    0,
    "{}:{}",
    {"alertname": "Disk"},
    [
        Alert(
            {"alertname": "Disk", "job": "node", "instance": "a:1", "severity": "critical"},
            {"summary": "Disk <b>full</b> & more", "description": "d"},
            0,
            10**15,
            0,
            "http://g/?a=1&b=2",
        ),
        Alert(
            {"alertname": "Disk", "job": "node", "instance": "b:1", "severity": "warning"},
            {"summary": "Disk <b>full</b> & more"},
            1000,
            2000,
            0,
            "http://g/",
        ),
    ],
    "firing",
    10**12,
)
EXTERNAL_URL = "http://am:9093"
TEXT_PARTS = '{{ define "T" }}[{{ . }}{{ $ }}]{{ end }}'
HTML_PARTS = '{{ define "U" }}{{ .ExternalURL }}/a?b={{ .Receiver | urlquery }}{{ end }}'
