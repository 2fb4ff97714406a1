"""How a machine is logged in, stays so, and is logged out; and what is said where it is not."""

import datetime as dt
import json
import stat

import pytest

from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from sdm.exit_codes import ExitCode
from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import TOKEN, Plane
from tests.client.ports import dialled, said_back
from tests.worker.processes import Worker, until

pytestmark = pytest.mark.process


def test_a_person_compares_a_code_and_is_logged_in(plane: Plane, sdm: Sdm):
    login = sdm.begin("login", "--no-browser", "--json")
    assert login.stdout is not None
    assert json.loads(login.stdout.readline()) == {
        "event": "code",
        "code": "KDWP-7XQM",
        "url": "http://console.example.com/login",
    }
    until(lambda: plane.people.calls.count("FinishLogin") > 0)
    plane.people.state = pb.LOGIN_STATE_APPROVED
    outcome = json.loads(login.stdout.readline())
    login.stdout.close()
    assert login.wait(20) == 0
    assert outcome["account"]["email"] == "alice@example.com"
    assert stat.S_IMODE((sdm.home / "identity.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(sdm.home.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("state", "words"), [(pb.LOGIN_STATE_DENIED, "denied"), (pb.LOGIN_STATE_EXPIRED, "in time")]
)
def test_without_an_approval_nobody_is_logged_in(
    plane: Plane, sdm: Sdm, state: pb.LoginState.ValueType, words: str
):
    plane.people.state = state
    done = sdm.finish("login", "--no-browser")
    assert done.returncode == ExitCode.REFUSED
    assert words in done.stderr
    assert not (sdm.home / "identity.json").exists()


def test_a_service_logs_in_with_its_token_and_without_anybody(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    sdm.listen(SDM_SERVICE_TOKEN=TOKEN)
    assert sdm.resource("orders")["status"] == "not connected"


def test_a_wrong_token_is_refused_in_words(plane: Plane, sdm: Sdm):
    done = sdm.finish("login", SDM_SERVICE_TOKEN="another")
    assert done.returncode == ExitCode.REFUSED
    assert "no service account with this token" in done.stderr


def test_a_control_plane_that_is_not_there_is_named(plane: Plane, sdm: Sdm):
    plane.down()
    done = sdm.finish("login", "--no-browser")
    assert done.returncode == ExitCode.UNAVAILABLE
    assert plane.address in done.stderr


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"SDM_APP_DOMAIN": ""}, "--app-domain"),
        ({"SDM_APP_DOMAIN": "a b"}, "not a name or an address"),
        ({"SDM_APP_CA_PIN": "x"}, "SDM_APP_CA_PIN"),
    ],
)
def test_wrong_settings_are_named(sdm: Sdm, environment: dict[str, str], words: str):
    done = sdm.run("login", **environment)
    assert done.returncode == ExitCode.CONFIGURATION
    assert words in done.stderr


def test_without_a_login_every_command_says_so_and_starts_nothing(sdm: Sdm):
    for words in (("status",), ("connect", "orders"), ("status", "--watch")):
        done = sdm.run(*words)
        assert done.returncode == ExitCode.REFUSED
        assert done.stderr == "You are not authenticated. Please login again.\n"
    assert readiness(sdm, ExitCode.REFUSED)["problem"] == "You are not authenticated. Please login again."
    assert not (sdm.home / "agent.sock").exists()


def readiness(sdm: Sdm, code: ExitCode) -> dict[str, object]:
    done = sdm.run("ready")
    assert done.returncode == code
    assert not done.stderr
    told: dict[str, object] = json.loads(done.stdout)
    assert told.keys() == {"is_linked", "listener_running", "account", "problem"}
    assert told["is_linked"] is (code == ExitCode.OK)
    return told


def test_whether_it_is_ready_is_told_in_json_whatever_is_wrong(plane: Plane, sdm: Sdm):
    sdm.home.mkdir(mode=0o755)
    assert "chmod 700" in str(readiness(sdm, ExitCode.CONFIGURATION)["problem"])
    sdm.home.chmod(0o700)
    sdm.login(plane)
    assert "sdm listen" in str(readiness(sdm, ExitCode.UNAVAILABLE)["problem"])
    sdm.listen()
    told = readiness(sdm, ExitCode.OK)
    assert (told["listener_running"], told["problem"]) == (True, "")
    plane.down()
    until(lambda: bool(sdm.status()["problem"]))
    assert plane.address in str(readiness(sdm, ExitCode.UNAVAILABLE)["problem"])


@pytest.mark.parametrize(
    ("words", "environment", "code", "reason"),
    [
        (("status",), {}, ExitCode.REFUSED, "not-logged-in"),
        (("status", "--watch"), {}, ExitCode.REFUSED, "not-logged-in"),
        (("connect", "orders"), {}, ExitCode.REFUSED, "not-logged-in"),
        (("login",), {"SDM_APP_DOMAIN": ""}, ExitCode.CONFIGURATION, "configuration"),
        (("connect",), {}, ExitCode.USAGE, "usage"),
        (("status", "--colour"), {}, ExitCode.USAGE, "usage"),
    ],
)
def test_a_script_is_told_of_a_failure_in_json(
    sdm: Sdm, words: tuple[str, ...], environment: dict[str, str], code: ExitCode, reason: str
):
    done = sdm.run(*words, "--json", **environment)
    assert done.returncode == code
    told = json.loads(done.stdout)
    assert told.pop("error")
    assert told == {"code": code, "reason": reason}
    assert done.stderr == ""


def test_a_directory_that_others_can_read_is_refused(sdm: Sdm):
    sdm.home.mkdir(mode=0o755)
    done = sdm.run("status")
    assert done.returncode == ExitCode.CONFIGURATION
    assert "chmod 700" in done.stderr


def test_the_certificate_is_renewed_before_it_ends(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    plane.people.life = dt.timedelta(seconds=6)
    sdm.login(plane)
    before = (sdm.home / "identity.json").read_text()
    sdm.listen()
    until(lambda: "Renew" in plane.people.calls)
    until(lambda: (sdm.home / "identity.json").read_text() != before)
    assert sdm.ready()


def test_a_login_that_was_ended_over_there_is_over_here(plane: Plane, sdm: Sdm, offer: Offer):
    offer("orders")
    sdm.login(plane)
    plane.people.refusals["WatchCatalog"] = (Reason.NOT_LOGGED_IN, "")
    agent = sdm.begin("listen")
    until(lambda: (sdm.home / "agent.sock").exists())
    done = sdm.run("status")
    assert done.returncode == ExitCode.REFUSED
    assert "You are not authenticated" in done.stderr
    assert readiness(sdm, ExitCode.REFUSED)["listener_running"] is True
    agent.terminate()
    agent.communicate(timeout=20)


def test_logging_out_ends_what_is_connected_and_forgets_the_certificate(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    sdm.run("connect", "orders")
    with dialled(sdm, "orders") as sock:
        assert said_back(sock, b"hello") == b"hello"
        assert sdm.run("logout").returncode == 0
        assert sock.recv(1) == b""
    assert "Logout" in plane.people.calls
    assert not (sdm.home / "identity.json").exists()
    assert sdm.run("status").returncode == ExitCode.REFUSED


def test_logging_out_works_here_when_the_control_plane_is_away(plane: Plane, sdm: Sdm):
    sdm.login(plane)
    sdm.listen()
    plane.people.refusals["Logout"] = (Reason.UNAVAILABLE, "The control plane restarts.")
    done = sdm.run("logout")
    assert done.returncode == 0
    assert "The control plane restarts." in done.stderr
    assert not (sdm.home / "identity.json").exists()


@pytest.mark.parametrize("runs", [True, False])
def test_logging_out_says_that_a_control_plane_that_is_away_lists_this_machine_still(
    plane: Plane, sdm: Sdm, runs: bool
):
    sdm.login(plane)
    if runs:
        sdm.listen()
    plane.down()
    if runs:
        until(lambda: bool(sdm.status()["problem"]))
    done = sdm.finish("logout", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["logged_out"] is True
    assert told["problem"].startswith("The console could not be told: ")
    assert "lists this machine until the login ends, 20" in told["problem"]
    assert plane.address in told["problem"]
    assert "ipv4:" not in told["problem"]
    assert not (sdm.home / "identity.json").exists()
