"""The files of the spool: records of the request log, one after the other, as a process of this worker wrote them.

A file begins with MAGIC; each record after it has its length and a checksum before it. A process that is killed
leaves a torn record at the end at most. What is incomplete may still be written to; what is wrong is damage.
"""

import struct
import sys
import zlib
from dataclasses import dataclass

MAGIC = b"SDMLOG1\n"
SUFFIX = ".log"
# A text, its parameters and what goes with them. Longer is no record of ours.
MAX_RECORD = 1 << 18

_head = struct.Struct("<II")
HEAD = _head.size


@dataclass(frozen=True, slots=True)
class Piece:
    """What was found in a part of a file, from a border between records on."""

    records: list[bytes]
    # How many bytes those are.
    length: int
    # What follows can never become a record.
    is_damaged: bool


def framed(record: bytes) -> bytes:
    return _head.pack(len(record), zlib.crc32(record)) + record


def next_border(data: bytes, *, is_all: bool) -> int:
    """Where in `data`, that begins with no record, the next one begins; its length when there is none and it `is_all`.

    Otherwise also where one may begin that goes on behind it.
    """
    view = memoryview(data)
    for at in range(1, len(data) - HEAD + 1):
        length, checksum = _head.unpack_from(data, at)
        if 0 < length <= MAX_RECORD:
            end = at + HEAD + length
            if end > len(data):
                if not is_all:
                    return at
            elif zlib.crc32(view[at + HEAD : end]) == checksum:
                return at
    return len(data) if is_all else max(1, len(data) - HEAD + 1)


def divide(data: bytes, *, at_most: int = sys.maxsize) -> Piece:
    """The whole records at the start of `data`."""
    records: list[bytes] = []
    at = 0
    while at + HEAD <= len(data) and len(records) < at_most:
        length, checksum = _head.unpack_from(data, at)
        # No record is empty; zeros are what some file systems leave after a power cut.
        if not 0 < length <= MAX_RECORD:
            return Piece(records, at, is_damaged=True)
        record = data[at + HEAD : at + HEAD + length]
        if len(record) < length:
            break
        if zlib.crc32(record) != checksum:
            return Piece(records, at, is_damaged=True)
        records.append(record)
        at += HEAD + length
    return Piece(records, at, is_damaged=False)
