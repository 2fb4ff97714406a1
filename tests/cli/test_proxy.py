"""`sdm`, `sdm proxy --check`, and what they end with."""

import datetime as dt
import json
import socket
import subprocess
import sys
import threading
import time
import venv
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes

from sdm.cli.main import COMMANDS, run
from sdm.contract.reasons import Reason
from sdm.control_plane import reaching
from sdm.exit_codes import ExitCode
from sdm.version import VERSION
from sdm.worker.control import calls
from tests.house.checkout import ROOT, free_port
from tests.worker.control_plane import ControlPlane, pem


@pytest.fixture
def plane() -> Iterator[ControlPlane]:
    plane = ControlPlane()
    plane.begin()
    yield plane
    plane.end()


@pytest.fixture
def settings(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in plane.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SDM_BIND_ADDRESS", f"127.0.0.1:{free_port()}")
    return monkeypatch


def check(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    code = run(["proxy", "--check", "--json"])
    found = json.loads(capsys.readouterr().out)
    return code, {each["step"]: each["text"] for each in found if each["good"] == (code == 0)}


def test_help_and_version_say_what_they_should(capsys: pytest.CaptureFixture[str]):
    assert run(["--version"]) == ExitCode.OK
    assert capsys.readouterr().out == f"sdm {VERSION}\n"
    assert run(["--help"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    assert run(["proxy", "--help"]) == ExitCode.OK


@pytest.mark.parametrize(
    "words", [["nonsense"], ["proxy", "--nonsense"], ["proxy", "--json"], ["proxy", "x"]]
)
def test_a_wrong_command_line_is_usage(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert run(words) == ExitCode.USAGE
    said = capsys.readouterr()
    if "--json" in words:
        assert json.loads(said.out)["reason"] == "usage"
        assert said.err == ""
    else:
        assert said.out == ""


def test_exit_codes_are_those_that_were_promised():
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0,
        "FAILURE": 1,
        "USAGE": 2,
        "NOT_FOUND": 66,
        "UNAVAILABLE": 69,
        "ADDRESS": 71,
        "RESTART": 75,
        "REFUSED": 77,
        "CONFIGURATION": 78,
    }


def test_a_check_that_finds_nothing_joins_nothing(
    settings: pytest.MonkeyPatch, plane: ControlPlane, capsys: pytest.CaptureFixture[str]
):
    code, found = check(capsys)
    assert code == ExitCode.OK
    assert list(found) == ["settings", "listen", "name", "connection", "control plane", "clock"]
    assert plane.calls == ["GetChallenge"]
    assert plane.secret_key.reveal() not in str(found)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"], ids=["in the clear", "over TLS"])
def test_a_check_names_the_pin_that_is_missing(
    host: str,
    settings: pytest.MonkeyPatch,
    plane: ControlPlane,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    plane.down()
    leaf, key = plane.workers.host(tmp_path)
    plane.tls = (key.read_bytes(), leaf.read_bytes() + pem(plane.workers.certificate))
    plane.up()
    settings.setenv("SDM_APP_DOMAIN", f"{host}:{plane.port}")
    code, found = check(capsys)
    assert code == ExitCode.UNAVAILABLE
    pin = f"sha256:{plane.workers.certificate.fingerprint(hashes.SHA256()).hex()}"
    told = found["control plane"]
    assert f"a certificate that no public authority signed: set SDM_APP_CA_PIN to {pin}, and compare" in told
    settings.setenv("SDM_APP_DOMAIN", f"127.0.0.1:{plane.port}")
    settings.setenv("SDM_APP_CA_PIN", pin)
    assert check(capsys)[0] == ExitCode.OK


@pytest.mark.parametrize(
    ("minutes", "code", "words"),
    [
        (0, ExitCode.OK, "This machine's clock is that of the control plane."),
        (2, ExitCode.OK, "clock is 120 s behind the control plane's; up to 5 minutes are fine."),
        (6, ExitCode.UNAVAILABLE, "clock is 360 s behind the control plane's. Set it"),
        (-600, ExitCode.UNAVAILABLE, "clock is 36,000 s ahead of the control plane's. Set it"),
    ],
)
def test_a_check_measures_the_clock(
    minutes: int,
    code: ExitCode,
    words: str,
    settings: pytest.MonkeyPatch,
    plane: ControlPlane,
    capsys: pytest.CaptureFixture[str],
):
    plane.clock = dt.timedelta(minutes=minutes)
    ended, found = check(capsys)
    assert ended == code
    assert words in found["clock"]


def test_a_check_names_a_taken_address(settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings.setenv("SDM_BIND_ADDRESS", f"127.0.0.1:{taken.getsockname()[1]}")
        code, found = check(capsys)
    assert code == ExitCode.ADDRESS
    assert "Address already in use" in found["listen"]


def test_a_check_names_a_control_plane_that_is_not_there(
    settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    where = f"127.0.0.1:{free_port()}"
    settings.setenv("SDM_APP_DOMAIN", where)
    code, found = check(capsys)
    assert code == ExitCode.UNAVAILABLE
    assert found == {"connection": f"Nobody listens at {where}."}


def test_a_check_names_one_that_says_nothing(
    settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    settings.setattr(reaching, "TIMEOUT", 0.2)
    settings.setattr(calls, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.setenv("SDM_APP_DOMAIN", f"127.0.0.1:{silent.getsockname()[1]}")
        code, found = check(capsys)
    assert code == ExitCode.UNAVAILABLE
    assert "accepts connections, and says nothing." in found["control plane"]


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)


def test_a_check_names_a_website_that_answers_there(
    settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with HTTPServer(("127.0.0.1", 0), Page) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        where = f"127.0.0.1:{site.server_port}"
        settings.setenv("SDM_APP_DOMAIN", where)
        code, found = check(capsys)
        assert code == ExitCode.UNAVAILABLE
        assert f"{where} answers, but not as a control plane's API: is this the console's" in str(found)
        settings.setenv("SDM_APP_CA_PIN", "0" * 64)
        code, found = check(capsys)
        assert code == ExitCode.UNAVAILABLE
        assert f"{where} answers, but does not speak TLS" in str(found)
        site.shutdown()


def test_a_check_names_a_key_that_is_refused(
    settings: pytest.MonkeyPatch, plane: ControlPlane, capsys: pytest.CaptureFixture[str]
):
    plane.refusals["GetChallenge"] = (Reason.KEY_DELETED, "")
    code, found = check(capsys)
    assert code == ExitCode.REFUSED
    assert found["control plane"] == f"{Reason.KEY_DELETED.sentence} (key-deleted)"


def test_a_check_says_all_that_is_wrong_with_the_settings_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SDM_BIND_ADDRESS", "nowhere")
    assert run(["proxy", "--check"]) == ExitCode.CONFIGURATION
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("WRONG settings: SDM_") for line in lines)


def test_a_worker_with_wrong_settings_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("SDM_LOG_FORMAT", "xml")
    assert run(["proxy", "-d"]) == ExitCode.CONFIGURATION
    assert "SDM_LOG_FORMAT='xml': give one of text, json." in capsys.readouterr().err


def test_the_command_starts_quickly():
    best = min(started() for _ in range(3))
    assert best < 0.5, "0.1 s on an idle machine"


def started() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "sdm", "--version"], check=True, capture_output=True, cwd=ROOT)
    return time.monotonic() - began


@pytest.mark.process
def test_the_wheel_is_sdm_alone_and_works_without_django(tmp_path: Path):
    """Built as it is published, and installed without anything of the control plane."""
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    wheel = tmp_path / done.stdout.split()[-1]
    with zipfile.ZipFile(wheel) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"sdm", f"sdm-{VERSION}.dist-info"}
        archive.extractall(tmp_path / "site")
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for name in (
        "click",
        "grpc",
        "google",
        "cryptography",
        "_cffi_backend",
        "h11",
        "uvloop",
        "prometheus_client",
        "typing_extensions",
    ):
        link(name, libraries)
    code = (
        "import sys; from sdm.cli.main import run; code = run(['proxy', '--help']); "
        "assert 'django' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run(
        [python, "-c", code],
        env={"PYTHONPATH": f"{tmp_path / 'site'}:{libraries}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Run a proxy worker" in done.stdout


def link(name: str, directory: Path) -> None:
    """Make an installed package visible in `directory`, and no other."""
    site = Path(pytest.__file__).resolve().parents[1]
    for found in site.glob(f"{name}*"):
        (directory / found.name).symlink_to(found)
