"""The locks agree with pyproject.toml and with each other: one environment serves all commands."""

import re
from pathlib import Path

import pytest

from tests.house.checkout import ROOT, dev_module

PIN = re.compile(r"^([a-z0-9-]+)==([^ ;]+)", re.MULTILINE)


def text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text()


def pins(name: str) -> dict[str, str]:
    return dict(PIN.findall(text(name)))


def test_the_development_lock_holds_the_console_s_at_the_same_versions():
    console, dev = pins("console"), pins("dev")
    assert console
    assert {name: dev.get(name) for name in console} == console


def test_the_console_s_lock_holds_the_worker_s_at_the_same_versions():
    worker, console = pins("worker"), pins("console")
    assert {name: console.get(name) for name in worker} == worker
    assert "grpcio" in worker
    assert "django" not in worker


@pytest.mark.parametrize("name", ["console", "dev", "worker"])
def test_every_package_has_hashes_and_no_source_is_named(name: str):
    blocks = re.split(r"\n(?=[a-z0-9])", text(name))[1:]
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text(name)
    assert "index" not in text(name)


def test_the_locks_were_made_from_pyproject_as_it_is():
    assert dev_module().stale_locks() is None


def test_a_forgotten_lock_is_noticed(tmp_path: Path, monkeypatch):
    dev = dev_module()
    project = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(project.replace('"pytest>=', '"pytest>'))
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    assert dev.stale_locks() == "pyproject.toml has changed since dev.lock: run ./dev lock"
