"""The Dockerfiles and the compose file, as far as they can be tried without a Docker engine."""

import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from console.first_run import new_sealing_key
from keys.commands import SPOOL
from sdm.worker import config
from tests.docs.pages import section, table
from tests.house.checkout import ROOT

DOCKER = ROOT / "deploy" / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))
TOOLS = Path(sys.executable).parent
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())


def image_of(path: Path) -> str:
    return path.name.partition(".")[0]


def let_in(path: Path) -> list[str]:
    """What of the checkout the image is made from."""
    lines = path.with_name(f"{path.name}.dockerignore").read_text().splitlines()
    assert "*" in lines
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


def copy_in(path: Path, target: Path) -> None:
    for name in let_in(path):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)


@pytest.mark.parametrize("path", FILES, ids=image_of)
def test_the_linter_has_nothing_to_say(path: Path):
    done = subprocess.run([TOOLS / "hadolint", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=image_of)
def test_an_image_is_pinned_and_runs_as_nobody_from_hashed_packages(path: Path):
    text = path.read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(bases) == 2
    assert all(re.fullmatch(r"python:\d+\.\d+-slim-\w+", base) for base in bases)
    assert re.findall(r"^USER (.+)", text, re.MULTILINE) == ["65532:65532"]
    assert "--require-hashes" in text
    assert f"requirements/{image_of(path)}.lock" in text


def test_what_is_let_in_is_enough_for_the_console_and_holds_no_secret(tmp_path: Path):
    path = DOCKER / "console.Dockerfile"
    copy_in(path, tmp_path)
    assert not {"var", "tests", ".git", ".venv", "."} & set(let_in(path))
    code = "import django; django.setup(); import console.wsgi, console.urls, api"
    environ = {"CONSOLE_DATA_DIR": str(tmp_path / "data"), "CONSOLE_SECRET_KEY": "x" * 64}
    environ |= {"DJANGO_SETTINGS_MODULE": "console.settings", "CONSOLE_SEALING_KEYS": new_sealing_key()}
    for command in (["-c", code], ["manage.py", "check"]):
        done = subprocess.run(
            [sys.executable, *command], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_what_is_let_in_is_enough_for_the_worker(tmp_path: Path):
    path = DOCKER / "worker.Dockerfile"
    copy_in(path, tmp_path)
    assert {found.name for found in tmp_path.iterdir()} == {"requirements", "sdm"}
    done = subprocess.run(
        [sys.executable, "-m", "sdm", *json.loads(last(path, "CMD")), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def last(path: Path, instruction: str) -> str:
    found: list[str] = re.findall(rf"^ *{instruction} (\[.*\])$", path.read_text(), re.MULTILINE)
    return found[-1]


def test_the_health_of_a_worker_is_whether_it_listens():
    check = re.findall(r"^    CMD (\[.*\])$", (DOCKER / "worker.Dockerfile").read_text(), re.MULTILINE)
    _, *words = json.loads(check[0])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        environ = {"SDM_BIND_ADDRESS": f"127.0.0.1:{listener.getsockname()[1]}"}
        assert subprocess.run([sys.executable, *words], env=environ, check=False).returncode == 0
    done = subprocess.run([sys.executable, *words], env=environ, capture_output=True, check=False)
    assert done.returncode != 0


def test_compose_sets_what_exists_and_holds_no_secret():
    rows = table(section(ROOT / "docs" / "operations.md", "Settings"), "name")
    known = {*config.KNOWN, *(row["name"].strip("`") for row in rows)}
    for name in ("console", "worker"):
        assert set(COMPOSE["services"][name]["environment"]) <= known
    secrets = (
        COMPOSE["services"]["database"]["environment"]["POSTGRES_PASSWORD"],
        *(COMPOSE["services"]["worker"]["environment"][name] for name in config.SECRETS),
    )
    assert all(secret.startswith("${") for secret in secrets)


@pytest.mark.parametrize("name", ["console", "worker"])
def test_containers_of_ours_may_do_little(name: str):
    found = COMPOSE["services"][name]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert (ROOT / found["build"]["dockerfile"]).is_file()


def test_the_pages_are_for_this_machine_alone():
    pages = [port for port in COMPOSE["services"]["console"]["ports"] if port.endswith(":8000")]
    assert pages == ["127.0.0.1:8000:8000"]


def test_a_worker_s_container_keeps_its_volume_however_it_is_started():
    image = (DOCKER / "worker.Dockerfile").read_text()
    (place,) = json.loads(re.findall(r"^VOLUME (.+)", image, re.MULTILINE)[0])
    assert SPOOL.partition(":")[2] == place
    assert [volume.partition(":")[2] for volume in COMPOSE["services"]["worker"]["volumes"]] == [place]
