"""The second copy of the request log: the compatible system's lines, in every place, and never in anybody's way."""

import asyncio
import csv
import json
import os
import socket
from pathlib import Path

import pytest

from sdm.contract.endings import Ending
from sdm.worker import copying as copyings
from sdm.worker.copies import Copies
from sdm.worker.copying import READER, Copying
from sdm.worker.delivery import READER as DELIVERY
from sdm.worker.destination import CopyFormat, Destination, Kind
from sdm.worker.records import RequestLog
from sdm.worker.sinks import File, Output, Stream, Syslog
from sdm.worker.spool import Run, Spool
from sdm.worker.unread import Unread

HOSTILE = b"SELECT '\"a,b';\r\n2026-01-01 00:00:00,start,forged\x1b[2J\xff\0"


def tell(run, text=HOSTILE):
    log = RequestLog(Spool(run.path, limit=1 << 26, processes=1))
    session = log.session("s-0000000000000001")
    session.started(
        account_id="a-1",
        resource_id="rs-1",
        kind="postgres",
        worker_id="w-1",
        client_address="192.0.2.7",
        account_name="charlie@example.com",
        resource_name="orders-db",
    )
    session.completed(session.request(text), rows=3, result="SELECT 3")
    session.ended(Ending.CLIENT_LEFT)
    return log


def lines(run, copy_format):
    unread = Unread(run, [READER])
    portion = unread.next(READER)
    assert portion is not None
    return list(Copies(copy_format).lines(portion.records))


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path / "spool")


# --- Lines --------------------------------------------------------------------------------------


def test_json_has_the_names_of_the_compatible_system(run):
    tell(run)
    start, complete = map(json.loads, lines(run, CopyFormat.JSON))
    assert start | {"timestamp": "", "hash": ""} == {
        "timestamp": "",
        "type": "start",
        "uuid": "s-0000000000000001-1",
        "datasourceId": "rs-1",
        "datasourceName": "orders-db",
        "userId": "a-1",
        "userName": "charlie@example.com",
        "query": HOSTILE.decode("utf-8", "backslashreplace"),
        "hash": "",
        "sourceIp": "192.0.2.7",
    }
    assert len(start["hash"]) == 64
    assert start["timestamp"].endswith(" +0000 UTC")
    assert (complete["type"], complete["uuid"], complete["records"]) == ("complete", start["uuid"], 3)


def test_csv_has_its_columns_and_nobody_forges_a_line(run):
    tell(run)
    text = lines(run, CopyFormat.CSV)
    assert all(line.isprintable() for line in text)
    start, complete = csv.reader(text)
    assert start[1:7] == ["start", "s-0000000000000001-1", "rs-1", "orders-db", "a-1", "charlie@example.com"]
    assert start[7] == r"""SELECT '"a,b';\r\n2026-01-01 00:00:00,start,forged\x1b[2J\xff\x00"""
    assert (complete[1], complete[2], complete[4]) == ("complete", start[2], "3")


def test_a_session_without_requests_has_lines_of_its_own(run):
    log = RequestLog(Spool(run.path, limit=1 << 26, processes=1))
    session = log.session("s-0000000000000001")
    session.started(account_id="a-1", resource_id="rs-1", kind="raw_tcp", worker_id="w-1", client_address="")
    session.ended(Ending.CLIENT_LEFT)
    start, complete = map(json.loads, lines(run, CopyFormat.JSON))
    assert (start["type"], start["uuid"], start["query"]) == ("start", "s-0000000000000001", "")
    assert complete["duration"] >= 0


def test_what_began_before_is_told_by_its_ids(run):
    log = RequestLog(Spool(run.path, limit=1 << 26, processes=1))
    log.session("s-0000000000000001").request(b"SELECT 1")
    (start,) = map(json.loads, lines(run, CopyFormat.JSON))
    assert (start["uuid"], start["userName"]) == ("s-0000000000000001-1", "")


# --- Places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("stdout", Destination(Kind.STDOUT, CopyFormat.JSON)),
        ("file", Destination(Kind.FILE, CopyFormat.JSON)),
        ("file:///var/log/q.log", Destination(Kind.FILE, CopyFormat.JSON, path=Path("/var/log/q.log"))),
        ("syslog", Destination(Kind.SYSLOG, CopyFormat.JSON, path=Path("/dev/log"))),
        (
            "syslog://logs.example.com",
            Destination(Kind.SYSLOG, CopyFormat.JSON, host="logs.example.com", port=514),
        ),
        ("tcp://[::1]:5140", Destination(Kind.TCP, CopyFormat.JSON, host="::1", port=5140)),
        ("socket:///run/x.sock", Destination(Kind.SOCKET, CopyFormat.JSON, path=Path("/run/x.sock"))),
    ],
)
def test_where_it_may_go(text, expected):
    assert Destination.parse(text, CopyFormat.JSON) == expected


@pytest.mark.parametrize(
    "text",
    ["tcp", "socket", "tcp://", "tcp://x", "tcp://x:0", "tcp://x:99999", "file://x", "kafka", "stdout://x"],
)
def test_what_is_no_place_is_refused(text):
    with pytest.raises(ValueError, match=r"[Gg]ive"):
        Destination.parse(text, CopyFormat.JSON)


def test_a_file_may_be_moved_away(tmp_path):
    path = tmp_path / "logs" / "requests.log"
    sink = File(path)
    asyncio.run(sink.write(["one"]))
    path.rename(tmp_path / "old")
    asyncio.run(sink.write(["two"]))
    assert ((tmp_path / "old").read_text(), path.read_text()) == ("one\n", "two\n")
    assert path.stat().st_mode & 0o777 == 0o600


def test_standard_output_that_nobody_reads_is_waited_for_and_no_line_is_torn():
    read, write = os.pipe()
    many = [f"{number} " + "x" * 1_000 for number in range(500)]

    async def play() -> bytes:
        sink, found = Output(write), b""
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await sink.write(many)
        writing = asyncio.create_task(sink.write(many))
        os.set_blocking(read, False)
        while not writing.done() or found.count(b"\n") < 1_000:
            try:
                found += os.read(read, 1 << 16)
            except BlockingIOError:
                if writing.done():
                    break
            await asyncio.sleep(0)
        await writing
        sink.close()
        return found

    found = asyncio.run(play())
    assert os.get_blocking(write)  # what others write there waits as before
    assert found.endswith(many[-1].encode() + b"\n")
    assert set(found.decode().splitlines()) == set(many)
    os.close(read)
    os.close(write)


def test_a_socket_as_standard_output_stays_as_it_is():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Output(theirs.fileno())
        asyncio.run(sink.write(["one", "two"]))
        sink.close()
        assert ours.recv(100) == b"one\ntwo\n"
        assert theirs.getblocking()


def test_a_connection_is_made_anew_after_a_failure():
    async def play() -> list[bytes]:
        found: list[bytes] = []

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.append(await reader.readline())
            writer.close()

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sink = Stream(Destination(Kind.TCP, CopyFormat.JSON, host="127.0.0.1", port=port))
        for number in range(3):
            await sink.write([f"line {number}"])
            while len(found) <= number:  # noqa: ASYNC110  # it looks at a list
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
        sink.close()
        server.close()
        return found

    assert asyncio.run(play()) == [b"line 0\n", b"line 1\n", b"line 2\n"]


def test_syslog_gets_datagrams_that_fit():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        port = server.getsockname()[1]
        sink = Syslog(Destination(Kind.SYSLOG, CopyFormat.JSON, host="127.0.0.1", port=port), "host-1")
        asyncio.run(sink.write(["short", "é" * 60_000]))
        sink.close()
        assert server.recv(1 << 16) == b"<134>1 - host-1 sdm-worker - - - short"
        long = server.recv(1 << 16).decode()
        assert len(long.encode()) <= 8_003
        assert long.endswith("…")


# --- Beside the delivery ------------------------------------------------------------------------


def copying(run, destination, *, keeps=1 << 26):
    unread = Unread(run, [DELIVERY, READER])
    directory = run.path.parent
    return unread, Copying(unread, destination, directory=directory, host_name="host-1", keeps=keeps)


def test_the_file_beside_the_spool_has_all_lines(run):
    tell(run, b"SELECT 1").close()
    _, task = copying(run, Destination(Kind.FILE, CopyFormat.CSV))
    asyncio.run(task.finish(5))
    text = (run.path.parent / "logs" / "requests.log").read_text()
    assert text.count("\n") == 2
    assert ",SELECT 1," in text


def test_a_sink_that_takes_nothing_holds_up_nobody_and_gives_way(run, monkeypatch, caplog):
    monkeypatch.setattr(copyings, "_PATIENCE", 0.02)
    monkeypatch.setattr(copyings, "_LOOK_EVERY", 0.01)
    tell(run, b"x" * 60_000).close()
    read, write = os.pipe()
    unread, task = copying(run, Destination(Kind.STDOUT, CopyFormat.JSON), keeps=10)
    task._sink = Output(write)

    async def play() -> None:
        os.set_blocking(write, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(write, b"full" * 1_000)
        portion = unread.next(DELIVERY)
        assert portion is not None
        unread.done(portion, DELIVERY)
        work = asyncio.create_task(task.keep())
        async with asyncio.timeout(5):
            while run.segments():
                unread.next(DELIVERY)
                await asyncio.sleep(0.01)
        work.cancel()

    asyncio.run(play())
    assert "left out of the second copy" in caplog.text
    assert "stdout" in task.problem
    os.close(read)
    os.close(write)
