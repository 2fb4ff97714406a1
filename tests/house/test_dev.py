"""The environment that `./dev` keeps, and what it says when it cannot."""

import importlib.util
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.house.checkout import ROOT, dev_module
from tests.servers import debian


@pytest.fixture
def dev(tmp_path: Path, monkeypatch) -> Any:
    """The script, with an environment of its own that is not there yet, and what it would have run."""
    module: Any = dev_module()
    monkeypatch.setattr(module, "VENV", tmp_path / "venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / "venv" / "bin" / "python")
    monkeypatch.setattr(module, "STAMP", tmp_path / "venv" / "installed.json")
    module.calls = []
    module.exit_code = 0

    def call(*command: object, **kwargs: object) -> int:
        module.calls.append([str(word) for word in command])
        if "venv" in command:
            module.PYTHON.parent.mkdir(parents=True, exist_ok=True)
            module.PYTHON.touch(mode=0o755)
        return int(module.exit_code)

    monkeypatch.setattr(module, "call", call)
    return module


def installs(dev: Any) -> list[str]:
    return [Path(call[-1]).name for call in dev.calls if "install" in call]


class TestEnvironment:
    def test_the_first_time_it_is_made_and_the_second_time_nothing_happens(self, dev):
        dev.environment(dev.CONSOLE)
        assert [call[1:3] for call in dev.calls] == [["-m", "venv"], ["-m", "pip"]]
        assert "--require-hashes" in dev.calls[1]
        dev.environment(dev.CONSOLE)
        assert len(dev.calls) == 2

    def test_run_after_test_installs_nothing(self, dev):
        dev.environment(dev.DEV)
        dev.environment(dev.CONSOLE)
        assert installs(dev) == ["dev.lock"]

    def test_test_after_run_adds_to_what_is_there(self, dev):
        dev.environment(dev.CONSOLE)
        dev.environment(dev.DEV)
        assert installs(dev) == ["console.lock", "dev.lock"]
        assert sum("venv" in call for call in dev.calls) == 1

    def test_a_changed_lock_is_installed_without_starting_from_nothing(self, dev):
        dev.environment(dev.DEV)
        dev.STAMP.write_text(json.dumps(["of an older lock"]))
        dev.environment(dev.CONSOLE)
        assert installs(dev) == ["dev.lock", "console.lock"]
        assert sum("venv" in call for call in dev.calls) == 1

    def test_one_that_was_cut_off_is_made_again(self, dev):
        dev.exit_code = 1
        dev.PYTHON.parent.mkdir(parents=True)
        dev.PYTHON.touch(mode=0o755)
        dev.STAMP.write_text(json.dumps([]))
        with pytest.raises(dev.Failure, match="could not be installed"):
            dev.environment(dev.CONSOLE)
        dev.exit_code = 0
        dev.environment(dev.CONSOLE)
        assert "--clear" in dev.calls[-2]

    @pytest.mark.parametrize("damage", ["no interpreter", "no stamp", "garbage"])
    def test_a_broken_one_is_made_again(self, dev, damage):
        dev.environment(dev.CONSOLE)
        if damage == "no interpreter":
            dev.PYTHON.unlink()
        elif damage == "no stamp":
            dev.STAMP.unlink()
        else:
            dev.STAMP.write_text("{")
        dev.environment(dev.CONSOLE)
        assert sum("--clear" in call for call in dev.calls) == 2

    def test_a_missing_venv_module_is_named_with_its_package(self, dev, monkeypatch):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name == "ensurepip" else object()
        )
        with pytest.raises(dev.Failure, match=r"no ensurepip module.*apt-get install python3-venv"):
            dev.environment(dev.CONSOLE)

    def test_pip_gets_no_index_of_ours(self, dev):
        dev.environment(dev.DEV)
        assert not [
            word
            for call in dev.calls
            for word in call
            if word.startswith(("-i", "--index", "--extra", "--trusted"))
        ]


class TestDebian:
    def test_what_is_missing_is_installed_by_root(self, monkeypatch):
        monkeypatch.setattr(debian, "_as_root", lambda: [])
        assert debian.commands(["chromium"])[1][-1] == "chromium"

    def test_who_may_not_install_is_told_what_to_ask_for(self, monkeypatch):
        monkeypatch.setattr(debian, "_as_root", lambda: None)
        with pytest.raises(debian.PackagesMissing, match="As root: apt-get install chromium libatomic1"):
            debian.commands(["chromium", "libatomic1"])

    def test_elsewhere_the_packages_are_named(self, monkeypatch):
        monkeypatch.setattr("shutil.which", lambda name: None)
        with pytest.raises(debian.PackagesMissing, match="postgresql chromium"):
            debian.missing()


class TestCommands:
    def test_help_names_every_command(self):
        done = subprocess.run([sys.executable, "dev"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in ("run", "test", "lint", "lock", "help"):
            assert f"./dev {name}" in done.stdout

    def test_an_unknown_command_is_refused(self):
        done = subprocess.run(
            [sys.executable, "dev", "rnu"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (
            1,
            "dev: there is no command 'rnu'; ./dev help lists them.\n",
        )

    def test_a_settings_of_this_machine_does_not_reach_the_tests(self, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgres://real")
        monkeypatch.setenv("CONSOLE_URL", "https://real.example.com")
        env = dev_module().clean_environment(DATABASE_URL="postgres://ours")
        assert env["DATABASE_URL"] == "postgres://ours"
        assert "CONSOLE_URL" not in env

    def test_a_child_is_told_to_stop_and_waited_for(self, tmp_path: Path):
        child = "import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: open('cleaned-up', 'w')"
        script = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom tests.house.checkout import dev_module\n"
        )
        script += f"dev = dev_module(); dev.ROOT = {str(tmp_path)!r}\nprint('ready', flush=True)\n"
        script += f"try: dev.call(sys.executable, '-c', {child!r})\nexcept KeyboardInterrupt: sys.exit(130)"
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            threading.Timer(1, process.send_signal, [signal.SIGTERM]).start()
            assert process.wait(timeout=20) == 130
        assert (tmp_path / "cleaned-up").exists()
