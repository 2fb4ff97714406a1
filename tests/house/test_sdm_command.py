import subprocess
import sys

from tests.house.checkout import dev_module


def test_the_environment_offers_the_sdm_command_of_this_checkout(tmp_path, monkeypatch):
    dev = dev_module()
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(dev, "VENV", tmp_path)
    monkeypatch.setattr(dev, "PYTHON", sys.executable)
    dev.offer_sdm()
    said = subprocess.run(
        [tmp_path / "bin" / "sdm", "--version"],
        capture_output=True,
        text=True,
        cwd="/",
        timeout=30,
        check=True,
    )
    assert "0.1.0" in said.stdout
