"""Messages of start-up: whole, byte by byte, too long, one at a time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.postgres.messages import (
    MAX_STARTUP_MESSAGE,
    Message,
    Messages,
    MessageTooLong,
    message,
    parameter_status,
    ready_for_query,
)


@given(st.lists(st.tuples(st.sampled_from([b"R", b"S", b"Z"]), st.binary(max_size=50))), st.integers(1, 100))
def test_what_is_written_is_read_in_any_pieces(written: list[tuple[bytes, bytes]], size: int):
    data = b"".join(message(kind, body) for kind, body in written)
    messages = Messages()
    found = [read for at in range(0, len(data), size) for read in messages.feed(data[at : at + size])]
    assert [(read.kind, read.body) for read in found] == written
    assert messages.rest == b""


@pytest.mark.parametrize("length", [0, 3, MAX_STARTUP_MESSAGE + 1, 2**31 - 1, 2**32 - 1])
def test_a_length_that_cannot_be_is_refused_before_anything_is_kept(length: int):
    with pytest.raises(MessageTooLong):
        list(Messages().feed(b"R" + length.to_bytes(4)))


def test_whoever_reads_one_message_leaves_the_next():
    messages = Messages()
    assert next(iter(messages.feed(ready_for_query() + b"DATA"))) == Message(b"Z", b"I")
    assert messages.rest == b"DATA"


def test_messages_are_written_as_the_protocol_says():
    assert ready_for_query(b"T") == b"Z\0\0\0\5T"
    assert parameter_status(b"a", b"b") == b"S\0\0\0\x08a\0b\0"
