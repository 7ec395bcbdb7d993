"""Rules for label values: what may be kept, and what of it.

A rule is any function from text to text. It runs when a label set is seen for the first time, and each time its values
are not yet those that are kept; so personal data reaches neither memory nor exposition.

Example:
    >>> from mirante.metrics import Counter
    >>> rules = {"country": allow("BR", "PT"), "user": hashed(b"key")}
    >>> logins = Counter("logins", "Logins.", ["country", "user"], rules=rules)
    >>> logins.labels("XX", "ana@example.org").label_values
    ('other', '24bb00abb3d8')
"""

from __future__ import annotations

import hashlib
import re

from mirante.errors import DeclarationError
from mirante.metrics.options import Rule

PERSONAL = (
    r"[\w.+-]+@[\w-]+(\.[\w-]+)+"  # e-mail address
    r"|\beyJ[\w-]+\.[\w-]+\.[\w-]+"  # JSON Web Token
    r"|\b\d{1,3}(\.\d{1,3}){3}\b"  # IPv4 address
    r"|\b(?:\d[ -]?){13,19}\b"  # card number
    r"|\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"  # UUID
    r"|(?<!\w)\+\d[\d -]{7,}\d\b"  # telephone number
)
"""What ``redact`` looks for unless told otherwise."""


def allow(*values: str, other: str = "other") -> Rule:
    """Keep those values and turn every other one into ``other``.

    Example:
        >>> allow("GET", "POST")("PURGE")
        'other'
    """
    allowed = frozenset(values)
    return lambda value: value if value in allowed else other


def hashed(key: bytes, *, length: int = 12) -> Rule:
    """Replace a value by a keyed hash: the same value gives the same text, which cannot be turned back without the key.

    Args:
        key: a secret of 1 to 64 bytes; without one, anybody could hash all telephone numbers and compare.
        length: hexadecimal digits, 4 to 64.

    Raises:
        DeclarationError: key or length is out of range.

    Example:
        >>> hashed(b"secret")("ana@example.org") == hashed(b"secret")("ana@example.org")
        True
    """
    if not 1 <= len(key) <= 64 or not 4 <= length <= 64:
        raise DeclarationError("hashed() needs a key of 1 to 64 bytes and a length from 4 to 64")
    return lambda value: hashlib.blake2b(value.encode("utf-8", "replace"), key=key).hexdigest()[:length]


def redact(pattern: str = PERSONAL, replacement: str = "redacted") -> Rule:
    """Replace what matches inside a value; by default addresses, card and telephone numbers, UUIDs and tokens.

    Args:
        pattern: a regular expression.
        replacement: plain text.

    Example:
        >>> redact()("/users/ana@example.org/orders")
        '/users/redacted/orders'
    """
    compiled = re.compile(pattern)
    return lambda value: compiled.sub(lambda _: replacement, value)
