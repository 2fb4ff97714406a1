"""What runs on other machines has nothing of the control plane with it."""

import subprocess
import sys

import pytest

from tests.house.checkout import ROOT

HEAVY = {"grpc", "cryptography", "asyncio", "uvloop", "django", "sdm.worker"}
LIST = """
import importlib, pkgutil, sys
for package in sys.argv[1:]:
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(module.__path__, package + "."):
        importlib.import_module(found.name)
print("\\n".join(sys.modules))
"""


@pytest.mark.parametrize("package", ["sdm.worker", "sdm.cli", "sdm.wire", "sdm.contract", "sdm.pki"])
def test_django_is_not_loaded(package: str):
    modules = loaded(package)
    assert package in modules
    assert "django" not in modules
    assert "console" not in modules


def test_the_command_loads_little_before_it_is_told_what_to_do():
    done = run("import sys, sdm.cli.main; print('\\n'.join(sys.modules))")
    assert not HEAVY & set(done)


def test_help_of_the_worker_loads_little():
    code = "import sys, sdm.cli.main; sdm.cli.main.run(['proxy', '--help']); print('\\n'.join(sys.modules))"
    assert not HEAVY & set(run(code))


@pytest.mark.parametrize("package", ["sdm", "api"])
@pytest.mark.parametrize(("chosen", "used"), [(None, "NONE"), ("DEBUG", "DEBUG")])
def test_grpc_writes_nothing_past_our_log_unless_told_to(
    package: str, chosen: str | None, used: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    if chosen:
        monkeypatch.setenv("GRPC_VERBOSITY", chosen)
    code = f"import os, sys, {package}; print(os.environ['GRPC_VERBOSITY'], 'grpc' in sys.modules)"
    assert run(code) == [used, "False"]


def loaded(package: str) -> list[str]:
    return run(LIST, package)


def run(code: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    return done.stdout.split()
