"""Bound values: whole, in pieces, cut, too many, nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract.parameters import MAX_BYTES, MAX_VALUES, Parameters
from sdm.wire.postgres.errors import PostgresError
from sdm.wire.postgres.values import LongValues, read_values
from tests.wire.postgres.reference import pieces

NULL = b"\xff" * 4
RESULT_FORMATS = bytes(2)
# What the formats of all values and the values that are logged take at most.
MOST = 2 * (0xFFFF + 2) + 4 * MAX_VALUES + MAX_BYTES


def written(values: list[bytes | None], formats: list[int] | None = None) -> bytes:
    codes = formats or []
    return (
        len(codes).to_bytes(2)
        + b"".join(code.to_bytes(2) for code in codes)
        + len(values).to_bytes(2)
        + b"".join(NULL if v is None else len(v).to_bytes(4) + v for v in values)
        + RESULT_FORMATS
    )


def read(data: bytes) -> Parameters:
    return read_values(data, len(data))


def in_pieces(data: bytes, size: int) -> Parameters:
    long = LongValues()
    for piece in pieces(data, size):
        long.feed(piece)
        assert long.held <= MOST
    return long.values()


def all_of(*values: bytes | None) -> Parameters:
    return Parameters(values, False, len(values))


X = b"x"
KEPT = {
    "none": ([], None, all_of()),
    "NULL, its name and nothing": ([None, b"NULL", b""], None, all_of(None, b"NULL", b"")),
    "one format for all": ([b"a", b"b"], [1], all_of(b"a", b"b")),
    "a format for each": ([b"a", b"b"], [0, 1], all_of(b"a", b"b")),
    "as long as can be": ([X * MAX_BYTES, None, b""], None, all_of(X * MAX_BYTES, None, b"")),
    "as many as can be": ([b"ab"] * MAX_VALUES, None, all_of(*[b"ab"] * MAX_VALUES)),
}
CUT = {
    "one too long": ([X * 100_000, b"b"], None, Parameters((X * MAX_BYTES,), True, 2, 100_000)),
    "by a byte": ([X * (MAX_BYTES + 1)], None, Parameters((X * MAX_BYTES,), True, 1, MAX_BYTES + 1)),
    "too long together": (
        [X * 20_000, None, b"y" * 20_000, b"z"],
        None,
        Parameters((X * 20_000, None, b"y" * (MAX_BYTES - 20_000)), True, 4, 20_000),
    ),
    "no room left": ([X * MAX_BYTES, b"y"], None, Parameters((X * MAX_BYTES, b""), True, 2, 1)),
    "one too many": ([b"a"] * 1_001, None, Parameters((b"a",) * MAX_VALUES, True, 1_001)),
    "NULL without end": ([None] * 65_535, None, Parameters((None,) * MAX_VALUES, True, 65_535)),
    "formats without end": (
        [b"a"] * 65_535,
        [0] * 65_535,
        Parameters((b"a",) * MAX_VALUES, True, 65_535),
    ),
    "all of it without end": (
        [b"a" * 30] * 65_535,
        [0] * 65_535,
        Parameters((b"a" * 30,) * MAX_VALUES, True, 65_535),
    ),
}
SETS = KEPT | CUT
each = pytest.mark.parametrize(("values", "formats", "found"), SETS.values(), ids=SETS)


@each
def test_values_are_read_and_what_is_left_out_is_said(
    values: list[bytes | None], formats: list[int] | None, found: Parameters
):
    assert read(written(values, formats)) == found


@each
@pytest.mark.parametrize("size", [1000, 65_536])
def test_in_pieces_they_are_the_same_and_no_more_is_held(
    values: list[bytes | None], formats: list[int] | None, found: Parameters, size: int
):
    assert in_pieces(written(values, formats), size) == found


@pytest.mark.parametrize("values", [[b"a", None, b""], [b"ab"] * 30], ids=["few", "many"])
@pytest.mark.parametrize("formats", [None, [1]])
def test_a_message_that_ends_too_early_is_refused(values: list[bytes | None], formats: list[int] | None):
    data = written(values, formats)
    for end in range(len(data) - len(RESULT_FORMATS)):
        with pytest.raises(PostgresError):
            read(data[:end])
        with pytest.raises(PostgresError):
            in_pieces(data[:end], 7)


@pytest.mark.parametrize("end", [40_000, 99_999])
def test_one_that_ends_inside_of_a_value_that_is_cut_is_refused_too(end: int):
    data = written([X * 100_000])[:end]
    with pytest.raises(PostgresError):
        read(data)
    with pytest.raises(PostgresError):
        in_pieces(data, 1000)


def test_of_a_gigabyte_no_more_is_held_than_is_logged():
    long, piece, size = LongValues(), X * 131_072, 8192
    long.feed(b"\0\0" + b"\0\1" + (len(piece) * size).to_bytes(4))
    for _ in range(size):
        long.feed(piece)
        assert long.held <= 4 + 4 * MAX_VALUES + MAX_BYTES
    assert long.values() == Parameters((X * MAX_BYTES,), True, 1, 1 << 30)


def test_another_number_of_formats_is_refused():
    with pytest.raises(PostgresError):
        read(written([b"a"] * 3, [0, 1]))


VALUES = st.lists(st.none() | st.binary(max_size=50), max_size=20)


@given(VALUES, st.integers(0, 1), st.integers(1, 100))
def test_what_is_written_is_read(values: list[bytes | None], binary: int, size: int):
    data = written(values, [binary])
    assert read(data) == in_pieces(data, size) == all_of(*values)


@given(st.binary(max_size=100), st.integers(1, 100))
def test_nonsense_is_refused_or_read(data: bytes, size: int):
    try:
        found = read(data)
    except PostgresError:
        with pytest.raises(PostgresError):
            in_pieces(data, size)
        return
    assert found == in_pieces(data, size)
    assert len(found.values) <= min(found.total, MAX_VALUES)
