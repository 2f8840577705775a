"""AMQP values and message sections survive the way to bytes and back."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.bus.amqp.decoder import Reader, decode
from emulator.bus.amqp.encoder import encode
from emulator.bus.amqp.frames import Frame, FrameBuffer, FrameType, ProtocolHeader, write_frame
from emulator.bus.amqp.performatives import Flow, Transfer, read_performative
from emulator.bus.amqp.sections import Content, RawMap, Section, write_section
from emulator.bus.amqp.types import (
    Array,
    Byte,
    Char,
    Described,
    Float,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    Ubyte,
    Uint,
    Ulong,
    Ushort,
)
from emulator.bus.errors import BusError


def integers(kind: type, bits: int, *, signed: bool) -> st.SearchStrategy[Any]:
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return st.integers(low, high).map(kind)


ascii_text = st.text(st.characters(min_codepoint=0, max_codepoint=127), max_size=300)
binary32 = st.floats(width=32, allow_nan=False).map(Float)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers(Ubyte, 8, signed=False),
    integers(Ushort, 16, signed=False),
    integers(Uint, 32, signed=False),
    integers(Ulong, 64, signed=False),
    integers(Byte, 8, signed=True),
    integers(Short, 16, signed=True),
    integers(Int, 32, signed=True),
    integers(int, 64, signed=True),
    integers(Timestamp, 64, signed=True),
    binary32,
    st.floats(allow_nan=False),
    st.binary(max_size=300),
    st.text(max_size=300),
    ascii_text.map(Symbol),
    st.uuids(),
    st.characters(exclude_categories=["Cs"]).map(Char),
    st.binary(min_size=16, max_size=16).map(lambda raw: Opaque(0x94, raw)),
)
arrays = st.one_of(
    *(
        st.lists(kind, max_size=300).map(lambda items: Array(tuple(items)))
        for kind in (st.uuids(), st.text(max_size=5), integers(int, 64, signed=True), st.booleans())
    )
)
values = st.recursive(
    st.one_of(scalars, arrays),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(st.one_of(st.text(max_size=9), ascii_text.map(Symbol)), inner, max_size=6),
        st.builds(Described, st.one_of(integers(Ulong, 64, signed=False), ascii_text.map(Symbol)), inner),
    ),
    max_leaves=20,
)


def shape(value: Any) -> Any:
    """The value with its types, which equality alone does not compare: `Uint(1) == 1 == True`."""
    match value:
        case list() | tuple():
            return [shape(item) for item in value]
        case dict():
            return {(type(key), key): shape(item) for key, item in value.items()}
        case Described():
            return (shape(value.descriptor), shape(value.value))
        case Array():
            return (Array, shape(value.items))
    return (type(value), value)


@given(values)
def test_a_value_decodes_to_itself_with_its_type(value: Any) -> None:
    assert shape(decode(encode(value))) == shape(value)


@given(values)
def test_stepping_over_a_value_takes_just_its_bytes(value: Any) -> None:
    encoded = encode(value)
    assert Reader(encoded + b"\x41").skip() == encoded


@given(values, st.data())
def test_a_value_cut_short_is_refused(value: Any, data: st.DataObject) -> None:
    encoded = encode(value)
    cut = encoded[: data.draw(st.integers(0, len(encoded) - 1))]
    with pytest.raises(BusError, match="amqp:decode-error"):
        decode(cut)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_decoded_or_refused(raw: bytes) -> None:
    try:
        decode(raw)
    except BusError as error:
        assert error.condition == "amqp:decode-error"


@pytest.mark.parametrize("value", [1 << 64, 3 + 4j, object()])
def test_what_has_no_encoding_is_a_programming_error(value: object) -> None:
    with pytest.raises((TypeError, struct.error)):
        encode(value)


def test_deep_nesting_is_refused_before_it_exhausts_the_stack() -> None:
    with pytest.raises(BusError, match="nested deeper"):
        decode(b"\x00\x40" * 500 + b"\x40")


def test_a_count_larger_than_the_bytes_is_refused_before_anything_is_allocated() -> None:
    with pytest.raises(BusError, match="cannot lie"):
        decode(b"\xd0\x00\x00\x00\x05\xff\xff\xff\xff\x40")


annotations = st.dictionaries(ascii_text.map(Symbol), scalars, max_size=5)


@given(annotations, annotations)
def test_adding_entries_to_a_map_leaves_the_others_as_they_were(old: dict[Any, Any], new: dict[Any, Any]) -> None:
    changed = RawMap(encode(old)).with_entries(new).encoded()

    assert shape(decode(changed) if changed else {}) == shape({**old, **new})


@given(annotations, st.binary(max_size=500), st.text(max_size=20), st.text(max_size=20))
def test_a_message_keeps_everything_but_header_and_annotations(
    noted: dict[Any, Any], body: bytes, message_id: str, session_id: str
) -> None:
    properties = encode([message_id, None, None, None, None, None, None, None, None, None, session_id])
    data = write_section(Section.DATA, encode(body))
    payload = (
        write_section(Section.MESSAGE_ANNOTATIONS, encode(noted)) + write_section(Section.PROPERTIES, properties) + data
    )

    content = Content.read(payload)
    again = Content.read(content.encoded(content.header, {"x-opt-sequence-number": 5}))

    assert (again.message_id, again.session_id) == (message_id, session_id)
    assert again.properties == properties
    assert again.body == data
    assert again.annotations.get("x-opt-sequence-number") == 5


@given(st.lists(st.binary(max_size=50), max_size=8), st.integers(1, 40))
def test_frames_are_found_however_the_stream_is_cut(bodies: list[bytes], step: int) -> None:
    stream = b"AMQP\x00\x01\x00\x00" + b"".join(write_frame(FrameType.AMQP, 3, body) for body in bodies)
    buffer = FrameBuffer(512)

    found = [one for start in range(0, len(stream), step) for one in buffer.feed(stream[start : start + step])]

    assert found == [ProtocolHeader(b"AMQP\x00\x01\x00\x00"), *(Frame(0, 3, body) for body in bodies)]


def test_a_frame_larger_than_agreed_is_refused() -> None:
    with pytest.raises(BusError, match="framing-error"):
        list(FrameBuffer(512).feed(write_frame(FrameType.AMQP, 0, b"x" * 600)))


def test_a_transfer_is_read_with_the_payload_behind_it() -> None:
    written = Transfer(handle=4, delivery_id=0, delivery_tag=b"t", message_format=0x80013700, more=True)

    body, payload = read_performative(written.encoded() + b"payload")

    assert (body, payload) == (written, b"payload")


def test_fields_left_out_mean_their_defaults() -> None:
    body, _ = read_performative(Flow(incoming_window=7).encoded())

    assert body == Flow(incoming_window=7)
    assert body.link_credit is None
    assert body.drain is False
