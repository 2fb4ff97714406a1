"""The values of a Bind message, for those who want them in the log."""

import struct

from sdm.wire.postgres.errors import ProtocolError
from sdm.wire.postgres.requests import Value

# The protocol has room for 65,535 values of a gigabyte each.
MAX_VALUES = 100
MAX_VALUE = 1024

_TEXT = (0,)
_int16 = struct.Struct("!H").unpack_from
_int32 = struct.Struct("!i").unpack_from


def read_values(data: bytes, *, whole: bool) -> tuple[int, tuple[Value, ...]]:
    """How many values follow the names in a Bind message, and the first of them.

    `data` may be the beginning only (not `whole`); then there are as many values as it has.
    """
    try:
        (format_count,) = _int16(data)
        at = 2 + 2 * format_count
        formats = struct.unpack_from(f"!{format_count}H", data, 2) if format_count else _TEXT
        (count,) = _int16(data, at)
        return count, _read(data, at + 2, count, formats, whole)
    except struct.error:
        if whole:
            raise ProtocolError("a Bind message ends before its values") from None
        return 0, ()


def _read(data: bytes, at: int, count: int, formats: tuple[int, ...], whole: bool) -> tuple[Value, ...]:
    # One format is for all values; none means text.
    each = formats if len(formats) > 1 else formats * count
    if len(each) < count:
        raise ProtocolError("a Bind message has another number of formats than of values")
    values: list[Value] = []
    for binary in each[: min(count, MAX_VALUES)]:
        if not whole and at + 4 > len(data):
            break
        (size,) = _int32(data, at)
        at += 4
        if size < 0:
            values.append(Value(None))
            continue
        if whole and at + size > len(data):
            raise ProtocolError("a Bind message ends inside of a value")
        values.append(Value(data[at : at + min(size, MAX_VALUE)], size, bool(binary)))
        at += size
    return tuple(values)
