"""The benchmark in miniature, so that it still runs on the day somebody needs it. It asserts no time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.checkout import ROOT

pytestmark = pytest.mark.process


def test_it_measures_every_page_and_ends_by_itself(tmp_path: Path):
    written = tmp_path / "figures.json"
    command = [sys.executable, "-m", "benchmarks.console", "sqlite", "--size=small", "--rounds=1"]
    command += [f"--directory={tmp_path / 'rows'}", f"--json={written}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "| clusters: `tags:Environment=sandbox` |" in done.stdout
    result = json.loads(written.read_text())["results"]["sqlite"]
    assert result["first_visit"] > result["next_visit"] > 1_000
    for page in result["pages"]:
        assert page["ours"]["median"] > 0
        assert page["admin"]["median"] > 0
        assert page["queries"] == page["queries_small"] > 0
