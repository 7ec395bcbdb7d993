"""Go's template language: what the templates of Prometheus's rules and Alertmanager's notifications are written in."""

from mirante.server.gotemplate.gotime import Duration, Time
from mirante.server.gotemplate.template_set import TemplateSet
from mirante.server.gotemplate.values import Html, StringList, StringMap, Struct

__all__ = ["Duration", "Html", "StringList", "StringMap", "Struct", "TemplateSet", "Time"]
