"""`sdm install --worker`: what it asks, refuses, writes and runs, in a directory that stands for the machine."""

import json
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdm.cli import service
from sdm.cli.install import COMMANDS, install
from sdm.cli.machine import Machine
from sdm.contract.keys import SecretKey
from sdm.exit_codes import ExitCode
from sdm.worker import config

ACCESS, SECRET = "gk-0123456789abcdef", SecretKey(bytes(range(32))).reveal()
OTHER_SECRET = SecretKey(bytes(32)).reveal()
KEYS = {"SDM_PROXY_CLUSTER_ACCESS_KEY": ACCESS, "SDM_PROXY_CLUSTER_SECRET_KEY": SECRET}
SETTINGS = {**KEYS, "SDM_APP_DOMAIN": "console.example.com:8001"}
# An interpreter that everybody may run, which that of the tests need not be.
PYTHON = Path("/bin/sh")


@dataclass(frozen=True, slots=True)
class Pretended(Machine):
    python: Path = PYTHON
    package: Path = Path("/usr")
    uid: int = 0
    answers: list[str] = field(default_factory=list)
    asked: list[tuple[str, bool]] = field(default_factory=list)
    called: list[tuple[str, ...]] = field(default_factory=list)
    failing: tuple[str, ...] = ()

    def call(self, command: Sequence[str]) -> int:
        self.called.append(tuple(command))
        return 1 if tuple(command) == self.failing else 0

    def can_ask(self) -> bool:
        return bool(self.answers)

    def ask(self, question: str, *, hidden: bool = False) -> str:
        self.asked.append((question, hidden))
        return self.answers.pop(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n"
    )
    return tmp_path


def run(machine: Machine, *words: str) -> ExitCode:
    code = install.main([*words], standalone_mode=False, obj=machine)
    assert isinstance(code, ExitCode)
    return code


def settings_in(root: Path) -> dict[str, str]:
    """The file as a shell reads it, whose quotes are those of systemd."""
    script = f"set -a; . {root}{service.SETTINGS_FILE}; env -0"
    done = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True)
    pairs = (line.partition("=") for line in done.stdout.split("\0"))
    return {name: value for name, _, value in pairs if name.startswith("SDM_")}


def unit_in(root: Path) -> Path:
    return root / service.UNIT_FILE.lstrip("/")


def test_it_writes_the_settings_for_root_alone_and_starts_the_service(root: Path, capsys):
    machine = Pretended(root, {**SETTINGS, "SUDO_USER": "alice"})
    assert run(machine, "--worker") == ExitCode.OK
    assert settings_in(root) == SETTINGS
    file = root / service.SETTINGS_FILE.lstrip("/")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(unit_in(root).stat().st_mode) == 0o644
    assert machine.called == list(COMMANDS)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    said = capsys.readouterr()
    assert "journalctl --unit sdm-worker" in said.out
    assert SECRET not in said.out + said.err + unit_in(root).read_text()


def test_it_asks_for_what_is_missing_and_the_secret_without_showing_it(root: Path, capsys):
    answers = [ACCESS, SECRET[:-1], "gk-0123456789abcdef", SECRET, "console.example.com"]
    machine = Pretended(root, {}, answers=answers)
    assert run(machine, "--worker", "--worker-bind-addr", ":443") == ExitCode.OK
    assert [hidden for _, hidden in machine.asked] == [False, True, True, True, False]
    assert settings_in(root) == {**KEYS, "SDM_APP_DOMAIN": "console.example.com", "SDM_BIND_ADDRESS": ":443"}
    said = capsys.readouterr().err
    assert "Was it copied completely?" in said
    assert "Is this the access key?" in said
    assert SECRET[:-1] not in said


def test_keys_come_from_files_as_well(root: Path):
    for name, text in (("access", ACCESS), ("secret", SECRET + "\n")):
        (root / name).write_text(text)
    environ = {f"{name}_FILE": str(root / name.split("_")[3].lower()) for name in KEYS}
    machine = Pretended(root, environ)
    assert run(machine, "--worker", "--app-domain", "console.example.com:8001") == ExitCode.OK
    assert settings_in(root) == SETTINGS


def test_other_settings_of_the_worker_are_kept_whatever_is_in_them(root: Path):
    odd = {**SETTINGS, "SDM_TLS_CERT_FILE": "/etc/a b/`$HOME`\\\"'#.pem", "SDM_LOG_FORMAT": "json"}
    assert run(Pretended(root, {**odd, "PATH": "/bin", "SDM_NONSENSE": "1"}), "--worker") == ExitCode.OK
    assert settings_in(root) == odd


@pytest.mark.parametrize("text", ["a\nSDM_VERBOSE=true", "a\x00", "a\x1b[2J"])
def test_no_value_adds_a_line(root: Path, text: str, capsys):
    machine = Pretended(root, {**SETTINGS, "SDM_TLS_CERT_FILE": text})
    assert run(machine, "--worker") == ExitCode.CONFIGURATION
    assert "SDM_TLS_CERT_FILE holds a character" in capsys.readouterr().err
    assert not unit_in(root).exists()


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({}, "SDM_PROXY_CLUSTER_ACCESS_KEY is missing"),
        ({**SETTINGS, "SDM_PROXY_CLUSTER_SECRET_KEY": SECRET[:-1]}, "Was it copied completely?"),
        (
            {**SETTINGS, "SDM_PROXY_CLUSTER_ACCESS_KEY": SECRET, "SDM_PROXY_CLUSTER_SECRET_KEY": ACCESS},
            "exchange",
        ),
        ({**SETTINGS, "SDM_BIND_ADDRESS": "nowhere"}, "SDM_BIND_ADDRESS='nowhere'"),
        ({**SETTINGS, "SDM_LOG_FORMAT": "xml"}, "give one of text, json"),
    ],
)
def test_wrong_settings_are_said_and_nothing_is_written(root: Path, environ, sentence: str, capsys):
    machine = Pretended(root, environ)
    assert run(machine, "--worker") == ExitCode.CONFIGURATION
    said = capsys.readouterr()
    assert sentence in said.err
    assert SECRET[:-1] not in said.err + said.out
    assert machine.called == []
    assert not (root / "etc/sysconfig").exists()


def test_somebody_from_elsewhere_is_refused_with_the_reason(root: Path, capsys):
    machine = Pretended(root, {**SETTINGS, "SUDO_USER": "carol@corp.example.com"})
    assert run(machine, "--worker") == ExitCode.FAILURE
    said = capsys.readouterr().err
    assert "'carol@corp.example.com' is not in /etc/passwd" in said
    assert "LDAP or single sign-on" in said
    assert not unit_in(root).exists()


def test_without_root_it_names_sudo(root: Path, capsys):
    assert run(Pretended(root, SETTINGS, uid=1000), "--worker") == ExitCode.FAILURE
    assert "Try again with sudo." in capsys.readouterr().err


def test_without_systemd_it_says_so(root: Path, capsys):
    (root / "run/systemd/system").rmdir()
    assert run(Pretended(root, SETTINGS), "--worker") == ExitCode.FAILURE
    assert "systemd does not run this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    "place", ["/root/.venv/bin/python", "/home/alice/sdm/bin/python", "/run/user/1/python"]
)
def test_a_program_that_the_service_cannot_read_is_refused(root: Path, place: str, capsys):
    assert run(Pretended(root, SETTINGS, python=Path(place)), "--worker") == ExitCode.FAILURE
    assert f"could not read {place}" in capsys.readouterr().err


def test_a_dry_run_changes_nothing_and_shows_all_but_the_secret(root: Path, capsys):
    before = sorted(root.rglob("*"))
    machine = Pretended(root, SETTINGS, uid=1000)
    assert run(machine, "--worker", "--dry-run") == ExitCode.FAILURE, "it would be refused"
    said = capsys.readouterr().out
    assert sorted(root.rglob("*")) == before
    assert machine.called == []
    assert SECRET not in said
    for words in (
        service.SETTINGS_FILE,
        service.UNIT_FILE,
        ACCESS,
        "Would be refused: Only root",
        "-m sdm proxy",
    ):
        assert words in said
    assert all(" ".join(command) in said for command in COMMANDS)


def test_a_dry_run_as_json_says_the_same(root: Path, capsys):
    assert run(Pretended(root, SETTINGS), "--worker", "--dry-run", "--json") == ExitCode.OK
    text = capsys.readouterr().out
    plan = json.loads(text)
    assert SECRET not in text
    assert [(file["path"], file["mode"]) for file in plan["files"]] == [
        (service.SETTINGS_FILE, "600"),
        (service.UNIT_FILE, "644"),
    ]
    assert plan["commands"] == [list(command) for command in COMMANDS]
    assert plan["obstacles"] == []
    assert plan["warnings"] == []


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--json",), ("--dry-run", "--json")])
def test_what_is_no_setting_is_said_with_the_nearest_that_is(root: Path, words: tuple[str, ...], capsys):
    machine = Pretended(root, {**SETTINGS, "SDM_BIND_ADRESS": ":443"})
    assert run(machine, "--worker", *words) == ExitCode.OK
    said = capsys.readouterr()
    warning = "SDM_BIND_ADRESS is not a setting. Did you mean SDM_BIND_ADDRESS?"
    assert f"sdm: Note: {warning}" in said.err
    if "--json" in words:
        assert json.loads(said.out)["warnings"] == [warning]


def test_the_second_time_it_says_what_changes_and_keeps_what_was_there(root: Path, capsys):
    assert run(Pretended(root, {**SETTINGS, "SDM_VERBOSE": "true"}), "--worker") == ExitCode.OK
    unit_in(root).write_text("# by hand\n")
    capsys.readouterr()
    environ = {**SETTINGS, "SDM_PROXY_CLUSTER_SECRET_KEY": OTHER_SECRET}
    assert run(Pretended(root, environ), "--worker", "--json") == ExitCode.OK
    said = capsys.readouterr()
    assert json.loads(said.out)["written"] == [service.SETTINGS_FILE, service.UNIT_FILE]
    assert "-SDM_VERBOSE=true" in said.err
    assert "-# by hand" in said.err
    assert SECRET not in said.err
    assert OTHER_SECRET not in said.err
    kept = root / f"{service.SETTINGS_FILE}.previous".lstrip("/")
    assert SECRET in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_same_again_writes_nothing_and_restarts(root: Path, capsys):
    run(Pretended(root, SETTINGS), "--worker")
    capsys.readouterr()
    machine = Pretended(root, SETTINGS)
    assert run(machine, "--worker", "--json") == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["written"] == []
    assert machine.called == list(COMMANDS)


def test_a_link_in_the_way_is_replaced_and_what_it_names_is_not_written_to(root: Path):
    elsewhere = root / "elsewhere"
    elsewhere.write_text("mine")
    (root / "etc/sysconfig").mkdir()
    (root / service.SETTINGS_FILE.lstrip("/")).symlink_to(elsewhere)
    run(Pretended(root, SETTINGS), "--worker")
    assert elsewhere.read_text() == "mine"
    assert settings_in(root) == SETTINGS


def test_a_systemctl_that_fails_is_named(root: Path, capsys):
    assert run(Pretended(root, SETTINGS, failing=COMMANDS[1]), "--worker") == ExitCode.FAILURE
    assert "`systemctl enable sdm-worker` ended with 1." in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(root: Path, capsys):
    (root / "etc/sysconfig").write_text("a file")
    assert run(Pretended(root, SETTINGS), "--worker") == ExitCode.FAILURE
    assert "etc/sysconfig" in capsys.readouterr().err


# --- The unit ---------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [":8443", "10.0.0.1:443"])
def test_systemd_accepts_the_unit_and_finds_it_safe(root: Path, address: str):
    run(Pretended(root, {**SETTINGS, "SDM_BIND_ADDRESS": address}), "--worker")
    unit = str(unit_in(root))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    safe = ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit]
    done = subprocess.run(safe, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("environ", "allowed"),
    [
        ({}, False),
        ({"SDM_BIND_ADDRESS": ":443"}, True),
        ({"SDM_BIND_ADDRESS": ":1024"}, False),
        ({"SDM_ORCHESTRATOR_PROBES": ":80"}, True),
    ],
)
def test_only_a_port_below_1024_needs_a_capability(root: Path, environ: dict[str, str], allowed: bool):
    run(Pretended(root, {**SETTINGS, **environ}), "--worker")
    assert ("AmbientCapabilities=CAP_NET_BIND_SERVICE" in unit_in(root).read_text()) == allowed


def test_the_unit_gives_a_worker_time_and_does_not_insist_where_it_is_refused(root: Path):
    run(Pretended(root, {**SETTINGS, "SDM_SHUTDOWN_TIMEOUT": "300"}), "--worker")
    lines = unit_in(root).read_text().splitlines()
    assert "TimeoutStopSec=313" in lines
    assert "RestartPreventExitStatus=77 78" in lines
    assert "ExecStart=/bin/sh -m sdm proxy" in lines


def test_every_setting_of_a_worker_can_be_written():
    settings = config.load(SETTINGS)
    others = [name for name in config.KNOWN if not name.startswith(config.SECRETS)]
    text = service.settings_file(settings, dict.fromkeys(others, "x"))
    assert [line.partition("=")[0] for line in text.splitlines()] == [*config.SECRETS, *others]
