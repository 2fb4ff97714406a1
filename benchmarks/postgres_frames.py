"""What it costs to read PostgreSQL's streams while they pass: `python -m benchmarks.postgres_frames`.

Microseconds of a core a round trip for what pgbench -S does; seconds of a core a gigabyte for bulk. Medians of several
rounds, in one process and without any input or output.
"""

import statistics
import time
from collections.abc import Callable

from sdm.wire.postgres import replies
from sdm.wire.postgres.frames import Requests
from sdm.wire.postgres.messages import message
from sdm.wire.postgres.replies import Replies

ROUNDS = 9
PIECE = 128 * 1024
QUERIES = 20_000
BULK = 64 * 1024 * 1024

SELECT = b"SELECT abalance FROM pgbench_accounts WHERE aid = %d;"
COLUMNS = message(b"T", b"\0\1abalance\0" + bytes(18))
ROW = message(b"D", b"\0\1\0\0\0\1" + b"0")
SELECTED = message(b"C", b"SELECT 1\0")
READY = message(b"Z", b"I")


def simple(number: int) -> bytes:
    return message(b"Q", SELECT % number + b"\0")


def extended(number: int) -> bytes:
    return message(b"P", b"\0" + SELECT % number + b"\0\0\0") + prepared(b"", number)


def prepared(name: bytes, number: int) -> bytes:
    value = b"%d" % number
    bind = b"\0" + name + b"\0\0\0\0\1" + len(value).to_bytes(4) + value + b"\0\0"
    describe = message(b"D", b"P\0")
    return message(b"B", bind) + describe + message(b"E", bytes(5)) + message(b"S")


REPLY = COLUMNS + ROW + SELECTED + READY
EXTENDED_REPLY = message(b"1") + message(b"2") + REPLY
PREPARED_REPLY = message(b"2") + REPLY


def seconds(work: Callable[[], None]) -> float:
    took = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        work()
        took.append(time.process_time() - begin)
    return statistics.median(took)


def round_trips(
    ask: Callable[[int], bytes], reply: bytes, *, values: bool = False, first: bytes = b""
) -> tuple[float, float]:
    """Microseconds for the client's piece alone, and with the server's."""
    asked = [memoryview(ask(number)) for number in range(100_000, 100_000 + QUERIES)]
    answer = memoryview(reply)

    def both() -> None:
        requests = Requests(values=values)
        answers = Replies(requests.pending)
        if first:
            requests.feed(first)
            answers.feed(message(b"1") + READY)
        for piece in asked:
            requests.feed(piece)
            answers.feed(answer)

    def client() -> None:
        requests = Requests(values=values)
        requests.feed(first)
        for piece in asked:
            requests.feed(piece)
            requests.pending = type(requests.pending)()

    return seconds(client) / QUERIES * 1e6, seconds(both) / QUERIES * 1e6


def pieces(row: bytes) -> list[memoryview]:
    data = memoryview(row * (BULK // len(row)))
    return [data[at : at + PIECE] for at in range(0, len(data), PIECE)]


def upload(size: int) -> float:
    """Seconds a gigabyte of COPY FROM STDIN."""
    data = pieces(message(b"d", bytes(size)))

    def work() -> None:
        requests = Requests()
        for piece in data:
            requests.feed(piece)

    return seconds(work) / BULK * 1e9


def download(size: int, *, walk: bool, crowded: bool = False) -> float:
    """Seconds a gigabyte of rows."""
    data = [*pieces(message(b"D", bytes(size))), memoryview(SELECTED + READY)]
    usual, replies.MAX_WALK = replies.MAX_WALK, 10**9 if walk else replies.MAX_WALK

    def work() -> None:
        requests = Requests()
        requests.feed(simple(1) * (2 if crowded else 1))
        answers = Replies(requests.pending)
        for piece in data:
            answers.feed(piece)

    try:
        return seconds(work) / BULK * 1e9
    finally:
        replies.MAX_WALK = usual


def main() -> None:
    begin = message(b"P", b"P0\0" + SELECT % 1 + b"\0\0\0") + message(b"S")
    print("µs a round trip              client  both ways")
    for name, figures in {
        "simple": round_trips(simple, REPLY),
        "extended (5 messages)": round_trips(extended, EXTENDED_REPLY),
        "prepared (4 messages)": round_trips(lambda n: prepared(b"P0", n), PREPARED_REPLY, first=begin),
        "prepared, with values": round_trips(
            lambda n: prepared(b"P0", n), PREPARED_REPLY, first=begin, values=True
        ),
    }.items():
        print(f"{name:28} {figures[0]:6.2f}  {figures[1]:6.2f}")
    print("\ns a GB                       upload  rows, as it is  every row walked  in a pipeline")
    for size in (20, 100, 400, 8192, 60_000):
        print(
            f"messages of {size:6} bytes       {upload(size):6.3f}  {download(size, walk=False):14.3f}"
            f"  {download(size, walk=True):16.3f}  {download(size, walk=False, crowded=True):13.3f}"
        )


if __name__ == "__main__":
    main()
