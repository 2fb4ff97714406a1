"""The values of a Bind message, for those who want them in the log.

The protocol has room for 65,535 values of a gigabyte each: what the log does not take is not held either.
"""

import struct

from sdm.contract.parameters import MAX_BYTES, MAX_VALUES, Parameters
from sdm.wire.postgres.errors import ProtocolError

_int16 = struct.Struct("!H").unpack_from
_int32 = struct.Struct("!i").unpack_from
_COUNT, _LENGTH = 2, 4


def read_values(data: bytes, size: int) -> Parameters:
    """What the log takes of a Bind message. `data` is what follows the names, at least as far as the log goes; `size`
    is how long all of that is."""
    try:
        (format_count,) = _int16(data)
        at = _COUNT + _COUNT * format_count
        (count,) = _int16(data, at)
        # One format is for all values; none means text.
        if 1 < format_count < count:
            raise ProtocolError("a Bind message has another number of formats than of values")
        return _read(data, at + _COUNT, count, size)
    except struct.error:
        raise ProtocolError("a Bind message ends before its values") from None


def _read(data: bytes, at: int, count: int, size: int) -> Parameters:
    values: list[bytes | None] = []
    room = MAX_BYTES
    for _ in range(min(count, MAX_VALUES)):
        (length,) = _int32(data, at)
        at += _LENGTH
        if length < 0:
            values.append(None)
            continue
        if at + length > size:
            raise ProtocolError("a Bind message ends inside of a value")
        if length > room:
            return Parameters((*values, data[at : at + room]), True, count, length)
        start, at = at, at + length
        values.append(data[start:at])
        room -= length
    return Parameters(tuple(values), count > MAX_VALUES, count)


class LongValues:
    """Those of a Bind message that comes in pieces: what is beyond the log is counted."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._wanted = _COUNT
        self._size = 0

    @property
    def held(self) -> int:
        return len(self._held)

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        held = self._held
        if len(held) == self._wanted > _COUNT:
            return
        held += data
        if len(held) >= _COUNT:
            (format_count,) = _int16(held)
            self._wanted = _COUNT * (format_count + 2) + _LENGTH * MAX_VALUES + MAX_BYTES
            del held[self._wanted :]

    def values(self) -> Parameters:
        return read_values(bytes(self._held), self._size)
