"""The messages that the store loads: one .proto text a stream; the columns and the parser of bodies are made of it.

The texts are the field's protocols cut down to what is stored. A field of the message ``Unsupported`` marks what a text
leaves out although it may not be lost: the engine has no column for it, and a parsed message that has such a field is
not initialized in protobuf's sense, which one call answers in C.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from mirante.server.store.api import Stream

STREAMS: tuple[Stream, ...] = ("remote_write", "otlp_logs", "otlp_traces")
"""The streams that are loaded. OTLP metrics become remote write bodies at the door, see ``ingest.otlp_metrics``."""

UNSUPPORTED = "Unsupported"

Parsed = Any
"""A message of a class that is made at run time: its fields are known to the .proto text alone."""

_Type = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": ("String", _Type.TYPE_STRING),
    "bytes": ("String", _Type.TYPE_BYTES),
    "bool": ("Bool", _Type.TYPE_BOOL),
    "double": ("Float64", _Type.TYPE_DOUBLE),
    "int32": ("Int32", _Type.TYPE_INT32),
    "sint32": ("Int32", _Type.TYPE_SINT32),
    "uint32": ("UInt32", _Type.TYPE_UINT32),
    "fixed32": ("UInt32", _Type.TYPE_FIXED32),
    "int64": ("Int64", _Type.TYPE_INT64),
    "sint64": ("Int64", _Type.TYPE_SINT64),
    "uint64": ("UInt64", _Type.TYPE_UINT64),
    "sfixed64": ("Int64", _Type.TYPE_SFIXED64),
    "fixed64": ("UInt64", _Type.TYPE_FIXED64),
}
_TOKEN = re.compile(r"//[^\n]*|(?P<word>[\w.]+|\S)")


class _Field(NamedTuple):
    label: str  # repeated, optional or nothing
    type: str
    name: str
    number: int
    oneof: str  # the name of the oneof around it, or nothing


class Proto:
    """One parsed text. It understands what our own texts use: messages, oneofs, ``optional`` and ``repeated``.

    Attributes:
        text: the text itself.
        root: name of the first message: what a body is.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._messages = dict(_messages(text))
        self.root = next(iter(self._messages))

    def columns(self) -> str:
        """The root's fields as the engine's columns: ``(name Type, ...)``.

        Example:
            >>> Proto("message A { repeated B b = 1; } message B { oneof v { string s = 1; int64 i = 2; } }").columns()
            '(b Array(Tuple(s Nullable(String), i Nullable(Int64))))'
        """
        return f"({', '.join(self._columns(self.root))})"

    def _columns(self, message: str) -> Iterator[str]:
        for field in self._messages[message]:
            if field.type == UNSUPPORTED:
                continue
            if field.type in _SCALARS:
                kind = _SCALARS[field.type][0]
                kind = f"Nullable({kind})" if field.oneof or field.label == "optional" else kind
            else:
                kind = f"Tuple({', '.join(self._columns(field.type))})"
            yield f"{field.name} {f'Array({kind})' if field.label == 'repeated' else kind}"

    def message_class(self, marked: Collection[str] = (UNSUPPORTED,)) -> type[Message]:
        """A class that parses the root, in C; built anew by each call.

        Args:
            marked: messages that are never initialized in protobuf's sense: ``IsInitialized`` tells at no cost whether
                a parsed body has any of them. Serialize what has by ``SerializePartialToString``.
        """
        file = descriptor_pb2.FileDescriptorProto(name="body.proto", package="body", syntax="editions")
        file.edition = descriptor_pb2.EDITION_2023
        file.options.features.field_presence = descriptor_pb2.FeatureSet.IMPLICIT
        for name, fields in self._messages.items():
            message = file.message_type.add(name=name)
            for field in fields:
                _add_field(message, field)
            if name in marked:
                never = message.field.add(name="never", number=1000, type=_Type.TYPE_BOOL, label=_Type.LABEL_OPTIONAL)
                never.options.features.field_presence = descriptor_pb2.FeatureSet.LEGACY_REQUIRED
        pool = descriptor_pool.DescriptorPool()
        pool.AddSerializedFile(file.SerializeToString())
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"body.{self.root}"))


def _messages(text: str) -> Iterator[tuple[str, list[_Field]]]:
    words = (match["word"] for match in _TOKEN.finditer(text) if match["word"])
    for word in words:
        if word == "message":
            name = next(words)
            next(words)  # {
            yield name, list(_fields(words, ""))
        else:
            while word != ";":  # syntax
                word = next(words)  # noqa: PLW2901 - consumes the statement


def _fields(words: Iterator[str], oneof: str) -> Iterator[_Field]:
    while (word := next(words)) != "}":
        if word == "oneof":
            name = next(words)
            next(words)  # {
            yield from _fields(words, name)
            continue
        label, kind = (word, next(words)) if word in {"repeated", "optional"} else ("", word)
        name, _, number, _ = (next(words) for _ in range(4))
        yield _Field(label, kind, name, int(number), oneof)


def _add_field(message: descriptor_pb2.DescriptorProto, field: _Field) -> None:
    label = _Type.LABEL_REPEATED if field.label == "repeated" else _Type.LABEL_OPTIONAL
    out = message.field.add(name=field.name, number=field.number, label=label)
    if field.type in _SCALARS:
        out.type = _SCALARS[field.type][1]
    else:
        out.type, out.type_name = _Type.TYPE_MESSAGE, f".body.{field.type}"
    if field.label == "optional":
        out.options.features.field_presence = descriptor_pb2.FeatureSet.EXPLICIT
    if field.oneof:
        names = [oneof.name for oneof in message.oneof_decl]
        if field.oneof not in names:
            message.oneof_decl.add(name=field.oneof)
            names.append(field.oneof)
        out.oneof_index = names.index(field.oneof)


@cache
def proto(stream: Stream) -> Proto:
    """The text of that stream."""
    return Proto((resources.files(__package__) / "schema" / f"{stream}.proto").read_text(encoding="utf-8"))


@cache
def message_class(stream: Stream) -> type[Message]:
    """The class that parses a body of that stream."""
    return proto(stream).message_class()
