"""Where a server's frames end, however they are cut; and the one frame of ours."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.http.websocket import MAX_CONTROL, MAX_REASON, Frames, close_frame

TEXT, BINARY, CONTINUED, CLOSE, PING, PONG = 1, 2, 0, 8, 9, 10


def frame(payload: bytes, opcode: int = TEXT, *, first: int = 0x80) -> bytes:
    """As RFC 6455, 5.2 has it, without a mask."""
    size = len(payload)
    long = b"\x7e" + size.to_bytes(2) if size < 1 << 16 else b"\x7f" + size.to_bytes(8)
    return bytes([first | opcode]) + (bytes([size]) if size <= 125 else long) + payload


SIZES = (0, 1, 125, 126, 127, 300, 0xFFFF, 0x10000, 200_000)
STREAM = b"".join(
    (
        frame(b"hello"),
        frame(b"in ", first=0x00),
        frame(b"beat", PING),
        frame(b"pieces", CONTINUED),
        frame(b"x" * 300, BINARY),
        # permessage-deflate (RFC 7692) says by a bit of the first byte that a message is compressed.
        frame(b"\xaa\x00", first=0xC0),
        frame(b"", PONG),
        frame(b"y" * 70_000, BINARY),
        frame(b""),
    )
)
BORDERS = {0, 7, 12, 18, 26, 330, 334, 336, 70_346, 70_348}


def fed(*pieces: bytes) -> Frames:
    frames = Frames()
    for piece in pieces:
        frames.feed(memoryview(piece))
    return frames


def borders(data: bytes) -> set[int]:
    """Where frames end, read a byte at a time."""
    frames = Frames()
    found = {0}
    for place, byte in enumerate(data, 1):
        frames.feed(bytes([byte]))
        if frames.at_border:
            found.add(place)
    return found


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_ends_where_it_says(size: int):
    whole = frame(b"z" * size)
    assert fed(whole).at_border
    assert not fed(whole[:-1]).at_border
    assert not fed(whole + b"\x81").at_border
    assert fed(whole, whole, whole + whole).at_border


def test_byte_by_byte_the_borders_are_the_same():
    assert borders(STREAM) == BORDERS


@pytest.mark.parametrize("end", [*range(340), *range(70_330, 70_349)])
def test_cut_off_anywhere_there_is_a_border_only_where_a_frame_ends(end: int):
    frames = fed(STREAM[:end])
    assert frames.at_border == (end in BORDERS)
    assert not frames.is_over


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_it_is_the_same_however_it_is_cut(cuts: list[int]):
    places = sorted({0, *cuts, len(STREAM)})
    frames = Frames()
    for begin, end in itertools.pairwise(places):
        frames.feed(STREAM[begin:end])
        assert frames.at_border == (end in BORDERS)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x85mask hello",
        b"\x81\xfe\x00\x80mask",
        b"\x83\x00",
        b"\x8b\x00",
        b"\x08\x00",
        b"\x09\x00",
        frame(b"p" * (MAX_CONTROL + 1), PING),
        frame(b"c" * 70_000, CLOSE),
        b"\x82\x7e\x00\x7d",
        b"\x82\x7f" + (0xFFFF).to_bytes(8),
        b"\x82\x7f" + (1 << 63).to_bytes(8),
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=[
        "masked",
        "masked and long",
        "unknown message",
        "unknown control",
        "close in pieces",
        "ping in pieces",
        "ping too long",
        "close too long",
        "length in two bytes that needs one",
        "length in eight bytes that needs two",
        "negative length",
        "no WebSocket",
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
def test_in_what_is_no_websocket_no_border_is_known(data: bytes, bytewise: bool):
    frames = fed(*(bytes([byte]) for byte in data)) if bytewise else fed(data)
    assert frames.is_over
    frames.feed(frame(b"hello"))
    assert not frames.at_border
    assert frames.is_over


@pytest.mark.parametrize("bytewise", [False, True])
def test_behind_the_servers_own_goodbye_there_is_room_for_none_of_ours(bytewise: bool):
    goodbye = frame(b"\x03\xe8bye", CLOSE)
    begun = fed(frame(b"hello"), goodbye[:-1])
    assert (begun.at_border, begun.is_over) == (False, False)
    data = goodbye + b"\x81\x05what"
    frames = fed(*(bytes([byte]) for byte in data)) if bytewise else fed(data)
    assert frames.is_over


def test_a_length_that_nobody_sends_costs_nothing():
    frames = fed(b"\x82\x7f" + ((1 << 63) - 1).to_bytes(8), b"x" * 100_000)
    assert (frames.at_border, frames.is_over) == (False, False)


@given(st.lists(st.binary(max_size=60)))
def test_garbage_is_waited_out_or_given_up_and_never_an_error(pieces: list[bytes]):
    frames = fed(*pieces)
    assert not (frames.at_border and frames.is_over)


@given(st.binary(max_size=400), st.integers(0, 400))
def test_garbage_is_judged_the_same_however_it_is_cut(data: bytes, place: int):
    whole, cut = fed(data), fed(data[:place], data[place:])
    assert (whole.is_over, whole.at_border) == (cut.is_over, cut.at_border)


@given(
    st.lists(
        st.tuples(st.sampled_from([TEXT, BINARY, CONTINUED]), st.sampled_from(SIZES)), min_size=1, max_size=6
    ),
    st.data(),
)
def test_what_is_framed_there_is_followed_here(messages: list[tuple[int, int]], data: st.DataObject):
    frames = Frames()
    for opcode, size in messages:
        whole = frame(b"m" * size, opcode)
        place = data.draw(st.integers(1, len(whole) - 1))
        frames.feed(whole[:place])
        assert not frames.at_border
        frames.feed(whole[place:])
        assert frames.at_border


@given(st.sampled_from([1001, 1008]), st.text())
def test_a_close_frame_is_a_whole_one_with_a_reason_that_can_be_read(code: int, reason: str):
    data = close_frame(code, reason)
    assert fed(data).is_over
    assert data[0] == 0x80 | CLOSE
    assert data[1] == len(data) - 2 <= MAX_CONTROL
    assert int.from_bytes(data[2:4]) == code
    data[4:].decode()


def test_a_reason_is_told_whole_or_ends_in_an_ellipsis():
    assert close_frame(1008, "Your role ended.") == b"\x88\x12\x03\xf0Your role ended."
    assert close_frame(1008, "x" * MAX_REASON)[4:] == b"x" * MAX_REASON
    assert close_frame(1008, "ü" * 100)[4:].decode() == "ü" * 60 + "…"
    assert close_frame(1008, "lone \ud800")[4:] == b"lone ?"
