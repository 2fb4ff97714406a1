"""Bound values: whole, cut off, too many, nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.postgres.errors import PostgresError
from sdm.wire.postgres.requests import Value
from sdm.wire.postgres.values import MAX_VALUE, MAX_VALUES, read_values


def written(values: list[bytes | None], formats: list[int] | None = None) -> bytes:
    codes = formats or []
    return (
        len(codes).to_bytes(2)
        + b"".join(code.to_bytes(2) for code in codes)
        + len(values).to_bytes(2)
        + b"".join(b"\xff" * 4 if v is None else len(v).to_bytes(4) + v for v in values)
        + bytes(2)
    )


GOOD = {
    "none": (written([]), ()),
    "text": (written([b"a", None, b""]), (Value(b"a", 1), Value(None), Value(b"", 0))),
    "one format for all": (written([b"a", b"b"], [1]), (Value(b"a", 1, True), Value(b"b", 1, True))),
    "a format for each": (written([b"a", b"b"], [0, 1]), (Value(b"a", 1), Value(b"b", 1, True))),
    "a long one": (written([b"x" * 5000]), (Value(b"x" * MAX_VALUE, 5000),)),
}
good = pytest.mark.parametrize(("data", "values"), GOOD.values(), ids=GOOD)


@good
def test_values_are_read(data: bytes, values: tuple[Value, ...]):
    assert read_values(data, whole=True) == (len(values), values)


@good
def test_of_a_beginning_as_many_are_read_as_it_has(data: bytes, values: tuple[Value, ...]):
    for cut in range(len(data)):
        count, found = read_values(data[:cut], whole=False)
        assert count in (0, len(values))
        assert [value.size for value in found] == [value.size for value in values[: len(found)]]


@good
def test_a_message_that_ends_too_early_is_refused(data: bytes, values: tuple[Value, ...]):
    for cut in range(len(data) - 2):  # the formats of the results, which are not read
        with pytest.raises(PostgresError):
            read_values(data[:cut], whole=True)


def test_of_many_the_first_are_kept_and_all_are_counted():
    count, found = read_values(written([b"x"] * 65_535), whole=True)
    assert (count, len(found)) == (65_535, MAX_VALUES)


def test_another_number_of_formats_is_refused():
    with pytest.raises(PostgresError):
        read_values(written([b"a"] * 3, [0, 1]), whole=True)


@given(st.lists(st.none() | st.binary(max_size=50), max_size=20), st.integers(0, 1))
def test_what_is_written_is_read(values: list[bytes | None], binary: int):
    count, found = read_values(written(values, [binary]), whole=True)
    assert count == len(values)
    assert [value.data for value in found] == values
    assert all(value.binary == bool(binary) for value in found if value.data is not None)


@given(st.binary(max_size=100), st.booleans())
def test_nonsense_is_refused_or_read(data: bytes, whole: bool):
    try:
        count, found = read_values(data, whole=whole)
    except PostgresError:
        return
    assert len(found) <= min(count, MAX_VALUES)
