"""What `./dev run` says and does: each refusal is one sentence, and a console that was stopped is gone."""

import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509

from console import first_run
from tests.house.checkout import ROOT, alive, children, dev_run, free_port, run_environment, running
from tests.servers import postgres

pytestmark = pytest.mark.process

PASSWORD = "hunter2-hunter2"
T = TypeVar("T")


def assert_refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It ended with one sentence that holds these words, not with a traceback."""
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(("dev: ", "console: "))
    for word in words:
        assert word in done.stderr


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 40
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if alive(pid)]}"
        time.sleep(0.1)


def once_there(look: Callable[[], T]) -> T:
    deadline = time.monotonic() + 40
    while True:
        try:
            return look()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def certificate_at(port: int, context: ssl.SSLContext) -> x509.Certificate:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as sock,
        context.wrap_socket(sock) as wrapped,
    ):
        return x509.load_der_x509_certificate(wrapped.getpeercert(binary_form=True) or b"")


class TestRefusals:
    def test_a_second_start_names_the_first(self, tmp_path: Path):
        env = run_environment(tmp_path)
        first_run.make_data_directory(tmp_path / "data")
        lock = first_run.hold(tmp_path / "data", first_run.Listen("127.0.0.1", 8123))
        try:
            done = dev_run(env)
        finally:
            os.close(lock)
        assert_refused(
            done, "already running", f"process {os.getpid()}", "http://127.0.0.1:8123", str(tmp_path)
        )

    def test_a_taken_port_is_named(self, tmp_path: Path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            listen = f"127.0.0.1:{server.getsockname()[1]}"
            done = dev_run(run_environment(tmp_path, CONSOLE_LISTEN=listen))
        assert_refused(done, f"Cannot listen on {listen}", "CONSOLE_LISTEN=127.0.0.1:")

    def test_a_data_directory_that_cannot_be_made_is_named(self, tmp_path: Path):
        (tmp_path / "file").touch()
        done = dev_run(run_environment(tmp_path, CONSOLE_DATA_DIR=str(tmp_path / "file" / "data")))
        assert_refused(done, str(tmp_path / "file" / "data"), "CONSOLE_DATA_DIR")

    def test_an_address_to_listen_on_that_is_none(self, tmp_path: Path):
        assert_refused(
            dev_run(run_environment(tmp_path, CONSOLE_LISTEN="everywhere")), "CONSOLE_LISTEN='everywhere'"
        )

    @pytest.mark.parametrize(
        ("name", "value", "advice"),
        [
            ("CONSOLE_URL", "console.example.com", "such as https://console.example.com"),
            ("CONSOLE_URL", "https://console.example.com", "set CONSOLE_TRUSTED_PROXIES"),
            ("CONSOLE_TRUSTED_PROXIES", "yes", "a whole number from 0 to 10"),
            ("CONSOLE_LOG_FORMAT", "xml", "one of text, json"),
            ("CONSOLE_SECRET_KEY_FILE", "/nowhere/key", "cannot read /nowhere/key"),
            ("CONSOLE_SEALING_KEYS", "short:AAAA", "CONSOLE_SEALING_KEYS"),
            ("CONSOLE_WORKERS", "none", "CONSOLE_WORKERS='none'"),
            ("CONSOLE_API_LISTEN", "8001", "give an address and port such as 127.0.0.1:8001"),
            ("CONSOLE_API_TLS_CERT_FILE", "/nowhere/api.pem", "there is no such file"),
            ("DATABASE_URL", f"mysql://root:{PASSWORD}@127.0.0.1/console", "postgres://"),
            ("DATABASE_URL", f"oracle-like://root:{PASSWORD}@127.0.0.1/console", "postgres://"),
            ("DATABASE_URL", f"postgres://console:{PASSWORD}@127.0.0.1:port/console", "postgres://"),
            (
                "DATABASE_URL",
                f"postgres://console:{PASSWORD}@127.0.0.1:1/console",
                "console at 127.0.0.1:1 does not",
            ),
            (
                "DATABASE_URL",
                "sqlite:////nowhere/console.sqlite3",
                "/nowhere/console.sqlite3 does not answer",
            ),
        ],
    )
    def test_a_wrong_setting_is_named(self, tmp_path: Path, name: str, value: str, advice: str):
        done = dev_run(run_environment(tmp_path, **{name: value}))
        assert_refused(done, name.removesuffix("_FILE"), advice)
        assert PASSWORD not in done.stdout + done.stderr

    def test_run_takes_no_arguments(self):
        command = [sys.executable, "dev", "run", "--port=1"]
        assert_refused(
            subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False), "no arguments"
        )

    def test_manage_py_refuses_a_wrong_setting_too(self, tmp_path: Path):
        env = run_environment(tmp_path, CONSOLE_LOG_FORMAT="xml", CONSOLE_SECRET_KEY="x" * 50)
        command = [sys.executable, "manage.py", "check"]
        done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("manage.py: CONSOLE_LOG_FORMAT='xml'")


class TestRunning:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
    def test_it_serves_until_it_is_told_to_stop_and_leaves_nothing_behind(
        self, tmp_path: Path, number: signal.Signals
    ):
        env, log = run_environment(tmp_path), tmp_path / "log"
        with running(env, log) as process:
            servers = children(process.pid)
            assert len(servers) == 4  # gunicorn, its two workers, and the API
            process.send_signal(number)
            assert process.wait(timeout=30) == 0
        assert not [pid for pid in servers if alive(pid)]
        assert "Traceback" not in log.read_text()

    def test_workers_from_elsewhere_are_shown_a_certificate_of_its_own(self, tmp_path: Path):
        port = free_port()
        env = run_environment(
            tmp_path, CONSOLE_API_LISTEN=f"0.0.0.0:{port}", CONSOLE_API_NAMES="console.example.com"
        )
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        with running(env, tmp_path / "log"):
            shown = once_there(lambda: certificate_at(port, context))
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert "console.example.com" in names.get_values_for_type(x509.DNSName)
        assert "Traceback" not in (tmp_path / "log").read_text()

    @pytest.mark.parametrize(
        ("which", "name"),
        [(b"gunicorn", "serves the pages"), (b"serve_api", "workers and clients connect to")],
    )
    def test_when_one_of_the_two_servers_ends_the_other_ends_too(
        self, tmp_path: Path, which: bytes, name: str
    ):
        env, log = run_environment(tmp_path), tmp_path / "log"
        with running(env, log) as process:
            servers = children(process.pid)
            victim = next(pid for pid in servers if which in Path(f"/proc/{pid}/cmdline").read_bytes())
            os.kill(victim, signal.SIGKILL)
            assert process.wait(timeout=40) != 0
        wait_until_gone(servers)
        assert f"{name} was killed by SIGKILL; all of it stops." in log.read_text()

    def test_killed_it_leaves_no_orphan(self, tmp_path: Path):
        with running(run_environment(tmp_path), tmp_path / "log") as process:
            servers = children(process.pid)
            process.kill()
            process.wait()
        wait_until_gone(servers)

    def test_it_says_where_things_are_and_a_second_one_is_refused(self, tmp_path: Path):
        env, log = run_environment(tmp_path), tmp_path / "log"
        with running(env, log) as process:
            said = log.read_text()
            assert str(tmp_path / "data") in said
            assert f"http://{env['CONSOLE_LISTEN']}/" in said
            setup = next(word for word in said.split() if "/setup/" in word)
            assert setup.startswith(f"http://{env['CONSOLE_LISTEN']}/setup/")
            with urllib.request.urlopen(setup, timeout=10) as response:
                assert response.status == 200
            second = dev_run(env)
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to all of them at once
            assert process.wait(timeout=30) == 0
        assert_refused(second, "already running", f"process {process.pid}")
        assert "Traceback" not in log.read_text()

    def test_its_data_is_for_its_owner_and_its_answers_do_not_say_what_serves_them(self, tmp_path: Path):
        env = run_environment(tmp_path)
        with running(env, tmp_path / "log"):
            url = f"http://{env['CONSOLE_LISTEN']}/healthz?{'x' * 60_000}"
            with urllib.request.urlopen(url, timeout=5) as response:  # the URL is the test's own
                assert response.status == 200
                assert "gunicorn" not in str(response.headers).lower()
            database = tmp_path / "data" / "console.sqlite3"
            assert stat.S_IMODE(database.stat().st_mode) == 0o600

    def test_it_runs_on_postgresql_and_does_not_say_its_password(self, tmp_path: Path):
        with postgres.server() as url:
            env, log = run_environment(tmp_path, DATABASE_URL=url), tmp_path / "log"
            with running(env, log) as process:
                process.send_signal(signal.SIGINT)
                assert process.wait(timeout=30) == 0
            password = url.rpartition("@")[0].rpartition(":")[2]
        assert "PostgreSQL, postgres at 127.0.0.1:" in log.read_text()
        assert password not in log.read_text()
        assert not (tmp_path / "data" / "console.sqlite3").exists()
