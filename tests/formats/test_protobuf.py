"""The wire format that we write is the one that the protobuf library reads."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from mirante.formats import protobuf as pb

_T = descriptor_pb2.FieldDescriptorProto


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="probe.proto", package="probe", syntax="proto3")
    message = file.message_type.add(name="Probe")
    kinds = [_T.TYPE_INT64, _T.TYPE_SINT64, _T.TYPE_FIXED64, _T.TYPE_SFIXED64, _T.TYPE_DOUBLE, _T.TYPE_BYTES,
             _T.TYPE_STRING, _T.TYPE_UINT64]  # fmt: skip
    for number, kind in enumerate(kinds, start=1):
        message.field.add(name=f"f{number}", number=number, type=kind, label=_T.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("probe.Probe"))


PROBE = _message_class()
SIGNED = st.integers(-(2**63), 2**63 - 1)
UNSIGNED = st.integers(0, 2**64 - 1)


@given(SIGNED, SIGNED, UNSIGNED, SIGNED, st.floats(allow_nan=False), st.binary(), st.text(), UNSIGNED)
def test_every_field_type_reads_back(a: int, b: int, c: int, d: int, e: float, f: bytes, g: str, h: int) -> None:
    """All writers together make one message whose fields come back equal."""
    wire = b"".join(
        [pb.int64(1, a), pb.sint64(2, b), pb.fixed64(3, c), pb.sfixed64(4, d), pb.double(5, e), pb.blob(6, f),
         pb.string(7, g), pb.int64(8, h)]
    )  # fmt: skip
    got = PROBE.FromString(wire)
    assert (got.f1, got.f2, got.f3, got.f4, got.f5, got.f6, got.f7, got.f8) == (a, b, c, d, e, f, g, h)


def test_a_lone_surrogate_cannot_make_encoding_fail() -> None:
    """Text that is not valid Unicode is sent with a question mark in its place."""
    assert PROBE.FromString(pb.string(7, "a\ud800b")).f7 == "a?b"


@given(st.binary(max_size=400))
def test_a_delimited_message_says_its_length(payload: bytes) -> None:
    """The prefix is the varint of the length."""
    assert pb.delimited(payload) == pb.varint(len(payload)) + payload
