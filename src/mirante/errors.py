"""Every exception that mirante raises on purpose. This module imports nothing.

The tree::

    MiranteError
    ├── DeclarationError (ValueError)   an instrument, label or alert that breaks the data model's rules
    │   └── DuplicateMetricError        the same name declared with another shape
    ├── ConfigError (ValueError)        a setting or a configuration file that cannot be used
    ├── TemplateError (ValueError)      a template that cannot be parsed or rendered
    ├── FormatError (ValueError)        bytes or text that are not what they claim to be
    ├── BadRequestError (ValueError)    a request parameter that cannot be used
    ├── QueryError                      a query that cannot be answered
    │   ├── BadQueryError (ValueError)  the expression itself is wrong
    │   ├── QueryTimeoutError           it took longer than allowed
    │   ├── QueryCanceledError          whoever asked went away
    │   └── QueryLimitError             it asked for more than the limits allow
    ├── StoreError                      the store cannot do what was asked
    │   ├── StoreBusyError              another process holds the data directory
    │   ├── StoreFullError              no room to write
    │   └── BackupError                 a backup that is not whole, or cannot be made or restored
    ├── DeliveryError                   telemetry could not be handed over
    ├── ScrapeError                     a target could not be scraped
    ├── HttpClientError                 a request of the server's own could not be made
    ├── CheckFailedError                a ready-made health check found a component ill
    ├── SilenceError (ValueError)       a silence that cannot be kept or changed as asked
    ├── ListenError                     an address cannot be listened on
    └── AccessError                     tokens cannot be read, made or revoked
"""

from __future__ import annotations


class MiranteError(Exception):
    """Root of the tree: catch it to catch all that mirante raises on purpose."""


class DeclarationError(MiranteError, ValueError):
    """A declaration or argument that breaks the rules of the data model; raised where it is written."""


class DuplicateMetricError(DeclarationError):
    """One name declared twice with different shapes.

    Attributes:
        name: the metric's name.
        first: ``file:line`` of the first declaration.
        second: ``file:line`` of the conflicting one.
    """

    def __init__(self, message: str, *, name: str, first: str, second: str) -> None:
        super().__init__(message)
        self.name = name
        self.first = first
        self.second = second


class ConfigError(MiranteError, ValueError):
    """A setting or configuration file that cannot be used.

    Attributes:
        key: the setting's name, dotted, or None where the file as a whole is unusable.
        source: where it came from: a file's path, ``environment variable X`` or ``code``.
    """

    def __init__(self, message: str, *, key: str | None = None, source: str | None = None) -> None:
        super().__init__(message)
        self.key = key
        self.source = source


class TemplateError(MiranteError, ValueError):
    """A template that cannot be parsed or rendered; the message says where and why.

    Attributes:
        name: of the template's source: a file, or whatever was rendered.
        line: in that source, from 1 on; 0 when it is no place's fault.
        column: in that line, from 1 on; 0 likewise.
    """

    def __init__(self, message: str, *, name: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.name = name
        self.line = line
        self.column = column


class FormatError(MiranteError, ValueError):
    """Bytes or text that are not what they claim to be; the message is one sentence for the sender."""


class BadRequestError(MiranteError, ValueError):
    """A request parameter that cannot be used; the message is the whole sentence for the caller."""


class QueryError(MiranteError):
    """A query that could not be answered."""


class BadQueryError(QueryError, ValueError):
    """The expression is wrong.

    Attributes:
        position: offset of the first offending character, counted from 0, or None.
    """

    def __init__(self, message: str, *, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class QueryTimeoutError(QueryError):
    """The query took longer than its time limit."""


class QueryCanceledError(QueryError):
    """Whoever asked went away before the answer was ready."""


class QueryLimitError(QueryError):
    """The query asked for more than a limit allows; the message names the limit and how to raise it."""


class StoreError(MiranteError):
    """The store cannot do what was asked."""


class StoreBusyError(StoreError):
    """Another process holds the data directory."""


class StoreFullError(StoreError):
    """There is no room left to write."""


class BackupError(StoreError):
    """A backup is not whole, or it cannot be made or restored; the message names the file."""


class DeliveryError(MiranteError):
    """Telemetry could not be handed over to its destination.

    Attributes:
        retry_after: seconds that the destination asked to wait, or None.
        permanent: true when the destination refused the data itself, so that a retry cannot help.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, permanent: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.permanent = permanent


class ScrapeError(MiranteError):
    """A target could not be scraped; the message is its ``lastError``."""


class HttpClientError(MiranteError):
    """A request of the server's own could not be made as configured; the message says why."""


class CheckFailedError(MiranteError):
    """A ready-made health check found a component ill; the message says what it saw."""


class SilenceError(MiranteError, ValueError):
    """A silence cannot be kept or changed as asked.

    Attributes:
        missing: there is none of that id.
    """

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class ListenError(MiranteError):
    """An address cannot be listened on."""


class AccessError(MiranteError):
    """Tokens cannot be read, made or revoked as asked."""
