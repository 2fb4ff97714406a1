"""PostgreSQL through a worker: a real server, and the clients that people have."""

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.pq import ExecStatus

from sdm.contract.endings import Ending
from sdm.contract.parameters import MAX_BYTES, MAX_VALUES, Parameters
from sdm.contract.records import parameters_of
from sdm.contract.v1.records_pb2 import RequestStarted
from sdm.wire.postgres.errors import ADMIN_SHUTDOWN, Report, parse_report
from sdm.wire.postgres.startup import SSL_REQUEST
from tests.servers import postgres
from tests.worker import echo
from tests.worker.clients import Person
from tests.worker.conftest import StartWorker
from tests.worker.control_plane import ControlPlane
from tests.worker.databases import dsn, endings, target
from tests.worker.forwarding import forwarded
from tests.worker.processes import Worker, read_all, until

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.fixture
def orders(plane: ControlPlane, database: str) -> str:
    return target(plane, database)


def texts(plane: ControlPlane) -> list[bytes]:
    return [record.request_started.text for record in plane.records if record.HasField("request_started")]


def test_psql_works_and_each_query_is_in_the_log(
    worker: Worker, plane: ControlPlane, alice: Person, orders: str
):
    with forwarded(alice, worker.port(), orders) as way:
        done = subprocess.run(
            ["psql", dsn(way.port), "-Atc", "select current_user, current_database()", "-c", "select 1/0"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        (ended,) = endings(plane)
    assert done.stdout == f"{postgres.USER}|postgres\n"
    assert "division by zero" in done.stderr
    assert texts(plane) == [b"select current_user, current_database()", b"select 1/0"]
    completed = [r.request_completed for r in plane.records if r.HasField("request_completed")]
    assert [(each.result, each.rows, each.error) for each in completed] == [
        ("SELECT 1", 1, ""),
        ("", 0, "22012"),
    ]
    assert (ended.reason, ended.requests) == (Ending.CLIENT_LEFT, 2)
    assert ended.bytes_sent
    assert ended.bytes_received


def test_a_driver_with_its_pipelines_and_copy_works(
    worker: Worker, plane: ControlPlane, alice: Person, orders: str
):
    with forwarded(alice, worker.port(), orders) as way, psycopg.connect(dsn(way.port)) as connection:
        connection.execute("create temp table t (id int, name text)")
        with connection.pipeline():
            for number in range(50):
                connection.execute("insert into t values (%s, %s)", (number, "x" * number))
        with connection.cursor().copy("copy t from stdin") as copy:
            for number in range(1000):
                copy.write_row((number, "y" * 1000))
        with connection.cursor().copy("copy t to stdout") as copy:
            assert sum(len(data) for data in copy) > 1_000_000
        assert connection.execute("select count(*) from t").fetchone() == (1050,)
        backend = connection.execute("select pg_backend_pid()").fetchone()
        assert (connection.info.backend_pid,) == backend
        large = "select length('" + "z" * 3_000_000 + "')"
        assert connection.execute(large.encode()).fetchone() == (3_000_000,)
    until(lambda: any(text.startswith(b"select length('zzz") for text in texts(plane)))
    logged = next(
        record.request_started
        for record in plane.records
        if record.request_started.text.startswith(b"select length('zzz")
    )
    assert logged.text_length == len(large)
    assert len(logged.text) == 1 << 16
    rows = [r.request_completed.rows for r in plane.records if r.HasField("request_completed")]
    assert 1000 in rows


def bound(plane: ControlPlane, text: bytes) -> Parameters:
    """The values of the request with this text. One that was parsed in an earlier piece is there without them, too."""

    def found() -> list[RequestStarted]:
        started = [record.request_started for record in plane.records]
        return [each for each in started if each.text == text and each.parameters]

    until(lambda: bool(found()))
    return parameters_of(found()[0])


def test_bind_values_are_logged_as_far_as_is_promised_and_what_is_cut_is_said(
    worker: Worker, plane: ControlPlane, alice: Person, database: str
):
    resource = target(plane, database, log_parameters=True)
    many = [str(number) for number in range(1_500)]
    with forwarded(alice, worker.port(), resource) as way, psycopg.connect(dsn(way.port)) as connection:
        connection.execute("select %s::text, %s::text, %s::text", ("NULL", None, ""))
        connection.execute("select length(%s::text), %s::text", ("x" * 100_000, "y"))
        connection.execute("select " + ", ".join(["%s::text"] * 1_500), many)
        huge = connection.execute("select length(%s::text)", ("z" * 100_000_000,)).fetchone()
    assert huge == (100_000_000,)
    assert bound(plane, b"select $1::text, $2::text, $3::text") == Parameters((b"NULL", None, b""), False, 3)
    assert bound(plane, b"select length($1::text), $2::text") == Parameters(
        (b"x" * MAX_BYTES,), True, 2, 100_000
    )
    all_of = "select " + ", ".join(f"${number}::text" for number in range(1, 1_501))
    assert bound(plane, all_of.encode()) == Parameters(
        tuple(value.encode() for value in many[:MAX_VALUES]), True, 1_500
    )
    assert bound(plane, b"select length($1::text)") == Parameters((b"z" * MAX_BYTES,), True, 1, 100_000_000)


def orders_of_one(connection: psycopg.Connection) -> None:
    connection.execute("create temp table orders (id int)")
    connection.execute("insert into orders values (1)")


def logged(plane: ControlPlane, text: str) -> list[tuple[str, str]]:
    """The requests whose text has this in it, and how they ended."""
    told = [record for record in plane.records if record.session_id]
    started = {
        (record.session_id, record.request_started.number): record.request_started.text.decode(
            errors="replace"
        )
        for record in told
        if record.HasField("request_started")
    }
    ended = {
        (record.session_id, record.request_completed.number): record.request_completed
        for record in told
        if record.HasField("request_completed")
    }
    return [
        (words, ended[key].result or ended[key].error)
        for key, words in started.items()
        if text in words and key in ended
    ]


@pytest.mark.parametrize("name", [b"s1", b""])
def test_a_parse_that_fails_does_not_put_its_text_in_the_place_of_what_runs(
    name: bytes, worker: Worker, plane: ControlPlane, alice: Person, orders: str
):
    fake = b"select 1 /* fake */" if name else b"select 1 /* fake \xff */"
    with (
        forwarded(alice, worker.port(), orders) as way,
        psycopg.connect(dsn(way.port), autocommit=True) as connection,
    ):
        orders_of_one(connection)
        libpq = connection.pgconn
        libpq.prepare(name, b"delete from orders where id = 1")
        assert libpq.prepare(name, fake).status == ExecStatus.FATAL_ERROR
        assert libpq.exec_prepared(name, None).command_tuples == 1
    until(lambda: any(end == "DELETE 1" for _, end in logged(plane, "")))
    assert [words for words, end in logged(plane, "") if end == "DELETE 1"] == [
        "delete from orders where id = 1"
    ]


def test_a_statement_that_sql_put_in_the_place_of_another_is_not_told_by_the_others_text(
    worker: Worker, plane: ControlPlane, alice: Person, orders: str
):
    with (
        forwarded(alice, worker.port(), orders) as way,
        psycopg.connect(dsn(way.port), autocommit=True) as connection,
    ):
        orders_of_one(connection)
        libpq = connection.pgconn
        for name, swap in {
            "s2": "deallocate s2; prepare s2 as delete from orders",
            "s3": "do $$ begin execute 'deallocate s3'; execute 'prepare s3 as delete from orders'; end $$",
        }.items():
            libpq.prepare(name.encode(), b"select 2 /* fake */")
            assert libpq.exec_prepared(name.encode(), None).status == ExecStatus.TUPLES_OK
            libpq.exec_(swap.encode())
            assert (libpq.exec_prepared(name.encode(), None).command_status or b"").startswith(b"DELETE")
        libpq.exec_(b"prepare s4 as delete from orders")
        libpq.exec_prepared(b"s4", None)
    until(lambda: len([end for _, end in logged(plane, "") if end.startswith("DELETE")]) == 3)
    assert [words for words, end in logged(plane, "") if end.startswith("DELETE")] == [
        "-- statement s2; may be another, the text sent last for it:\nselect 2 /* fake */",
        "-- statement s3; may be another, the text sent last for it:\nselect 2 /* fake */",
        "-- statement s4",
    ]


def asleep(port: int, seconds: int) -> subprocess.Popen[str]:
    """psql with a query that takes so long. It cancels it when it is interrupted, as at a terminal."""
    command = ["psql", dsn(port), "-Atc", f"select pg_sleep({seconds})"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def sleeps(plane: ControlPlane) -> bool:
    return any(b"pg_sleep" in text for text in texts(plane))


def test_a_query_is_canceled_through_any_worker(
    worker: Worker, start: StartWorker, plane: ControlPlane, alice: Person, orders: str
):
    other = start(SDM_WORKERS="1")
    with forwarded(alice, worker.port(), orders) as way:
        psql = asleep(way.port, 30)
        until(lambda: sleeps(plane))
        # The connection that cancels goes to another worker, which has never heard of the session.
        way.worker_port = other.port()
        psql.send_signal(signal.SIGINT)
        _, errors = psql.communicate(timeout=10)
    assert "canceling statement due to user request" in errors
    until(lambda: any(text.startswith(b"-- cancel what process") for text in texts(plane)))


def test_somebody_elses_cancel_key_does_nothing(
    worker: Worker, plane: ControlPlane, alice: Person, orders: str, tmp_path: Path
):
    with forwarded(alice, worker.port(), orders) as way:
        psql = asleep(way.port, 3)
        until(lambda: sleeps(plane))
        way.person = Person.of(plane, tmp_path)
        psql.send_signal(signal.SIGINT)
        _, errors = psql.communicate(timeout=10)
    assert "Cancel request sent" in errors
    assert "canceling statement" not in errors


def test_end_session_reaches_psql_with_its_reason(
    worker: Worker, plane: ControlPlane, alice: Person, orders: str, database: str
):
    with forwarded(alice, worker.port(), orders) as way:
        idle, busy = psycopg.connect(dsn(way.port)), psycopg.connect(dsn(way.port))
        errors: list[Exception] = []

        def work() -> None:
            try:
                busy.execute("select pg_sleep(30), 'busy'")
            except psycopg.Error as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        until(lambda: count_busy(database) == 1)
        plane.endings[orders] = (Ending.ENDED_BY_ADMINISTRATOR, "Alice ended this session.")
        began = time.monotonic()
        plane.recheck()
        thread.join(5)
        with pytest.raises(psycopg.errors.AdminShutdown, match="Alice ended this session"):
            idle.execute("select 1")
        assert time.monotonic() - began < 2
        assert "Alice ended this session" in str(errors[0])
    # The server does not go on with what nobody waits for.
    until(lambda: count_busy(database) == 0)


def count_busy(database: str) -> int:
    # Each time anew: within a transaction the server tells the same again.
    with psycopg.connect(database) as direct:
        found = direct.execute(
            "select count(*) from pg_stat_activity where query like '%''busy''%' and pid <> pg_backend_pid()"
        ).fetchone()
    assert found
    return int(found[0])


@contextlib.contextmanager
def silent() -> Iterator[tuple[str, threading.Event]]:
    """The URL of a server that takes what it is told and never answers; and whether it was told something."""
    told = threading.Event()

    def listen(sock: socket.socket) -> None:
        while sock.recv(4096):
            told.set()

    with echo.server(listen) as port:
        yield f"postgres://nobody:secret@127.0.0.1:{port}/postgres", told


def end_all(plane: ControlPlane, resource: str) -> None:
    plane.endings[resource] = (Ending.ENDED_BY_ADMINISTRATOR, "Alice ended this session.")
    plane.recheck()


@pytest.mark.parametrize("tls", [False, True], ids=["signing in", "asking for TLS"])
def test_a_session_that_is_ended_while_its_server_is_silent_says_so_in_psql(
    tls: bool, worker: Worker, plane: ControlPlane, alice: Person
):
    with silent() as (url, told):
        resource = target(plane, url, tls_required=tls)
        with forwarded(alice, worker.port(), resource) as way:
            psql = asleep(way.port, 1)
            assert told.wait(15)
            end_all(plane, resource)
            # A server is waited for fifteen seconds.
            _, errors = psql.communicate(timeout=8)
    assert "FATAL:  Alice ended this session." in errors
    assert [(ended.reason, ended.message) for ended in endings(plane)] == [
        (Ending.ENDED_BY_ADMINISTRATOR, "Alice ended this session.")
    ]


@pytest.mark.parametrize("words", [b"", SSL_REQUEST, b"\0\0"], ids=["nothing", "no TLS", "half a word"])
def test_a_session_that_is_ended_while_its_client_is_silent_is_told_all_the_same(
    words: bytes, worker: Worker, plane: ControlPlane, alice: Person, orders: str
):
    with (
        forwarded(alice, worker.port(), orders) as way,
        socket.create_connection(("127.0.0.1", way.port), timeout=10) as sock,
    ):
        sock.sendall(words)
        if words == SSL_REQUEST:
            assert sock.recv(1) == b"N"
        worker.until(lambda: any(record.HasField("session_started") for record in plane.records))
        end_all(plane, orders)
        said = read_all(sock)
    assert said[:1] == b"E"
    assert parse_report(said[5:]) == Report(ADMIN_SHUTDOWN, "Alice ended this session.")


def test_wrong_credentials_are_the_resources_fault_and_never_shown(
    worker: Worker, plane: ControlPlane, alice: Person, database: str
):
    resource = target(plane, database, password="wrong-password-1")
    with (
        forwarded(alice, worker.port(), resource) as way,
        pytest.raises(psycopg.OperationalError, match="password authentication failed"),
    ):
        psycopg.connect(dsn(way.port))
    until(lambda: any(record.HasField("session_ended") for record in plane.records))
    ended = next(record.session_ended for record in plane.records if record.HasField("session_ended"))
    assert ended.reason == Ending.RESOURCE_REFUSED
    assert "wrong-password-1" not in worker.log


def test_what_a_resource_does_not_allow_is_refused(
    worker: Worker, plane: ControlPlane, alice: Person, orders: str, database: str
):
    with forwarded(alice, worker.port(), orders) as way:
        for words, what in (
            ({"replication": "true"}, "replication is not allowed"),
            ({"sslmode": "require"}, "server does not support SSL"),
        ):
            with pytest.raises(psycopg.OperationalError, match=what):
                psycopg.connect(dsn(way.port, **words))
        with socket.create_connection(("127.0.0.1", way.port), timeout=10) as sock:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
            assert b"does not speak TLS itself" in sock.recv(4096)
    secure = target(plane, database, tls_required=True)
    with (
        forwarded(alice, worker.port(), secure) as way,
        pytest.raises(psycopg.OperationalError, match="does not speak TLS"),
    ):
        psycopg.connect(dsn(way.port))


def test_an_open_transaction_survives_a_restart_of_the_link_and_no_record_is_lost(
    worker: Worker, plane: ControlPlane, alice: Person, orders: str
):
    with forwarded(alice, worker.port(), orders) as way, psycopg.connect(dsn(way.port)) as connection:
        connection.execute("create temp table t (id int)")
        plane.down()
        worker.until(lambda: "Trying again" in worker.log)
        os.kill(sorted(worker.children())[0], signal.SIGKILL)
        for number in range(20):
            connection.execute("insert into t values (%s)", (number,))
            time.sleep(0.05)
        plane.up()
        connection.commit()
        assert connection.execute("select count(*) from t").fetchone() == (20,)
    until(lambda: len([text for text in texts(plane) if text.startswith(b"insert into t")]) >= 20, 30)


def test_a_worker_that_stops_tells_psql_so_at_its_deadline(
    start: StartWorker, plane: ControlPlane, alice: Person, orders: str
):
    worker = start(SDM_WORKERS="1", SDM_SHUTDOWN_TIMEOUT="2")
    with forwarded(alice, worker.port(), orders) as way, psycopg.connect(dsn(way.port)) as connection:
        connection.execute("create temp table t (id int)")
        worker.signal(signal.SIGTERM)
        time.sleep(1)
        assert connection.execute("select 1").fetchone() == (1,)
        assert worker.ends(10) == 0
        with pytest.raises(psycopg.errors.AdminShutdown, match="The worker stops"):
            connection.execute("select 1")


def test_pgbench_works_unchanged(
    worker: Worker, plane: ControlPlane, alice: Person, orders: str, database: str
):
    bench = Path(postgres.program("pgbench"))
    environment = {**os.environ, "PGDATABASE": database}
    with contextlib.suppress(subprocess.SubprocessError):
        subprocess.run(
            [bench, "-i", "-q", database], env=environment, check=True, timeout=60, capture_output=True
        )
    with forwarded(alice, worker.port(), orders) as way:
        for mode in ("simple", "extended", "prepared"):
            done = subprocess.run(
                [
                    bench,
                    "-S",
                    "-n",
                    "-c",
                    "4",
                    "-t",
                    "200",
                    "-M",
                    mode,
                    "-h",
                    "127.0.0.1",
                    "-p",
                    str(way.port),
                    "x",
                ],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert "number of transactions actually processed: 800/800" in done.stdout, done.stderr
