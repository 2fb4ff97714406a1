"""The worker's benchmark in miniature, so that it still runs on the day somebody needs it. It asserts no time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.house.checkout import ROOT

pytestmark = pytest.mark.process

WORKERS = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 40


def measure(directory: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    written = directory / "figures.json"
    command = [sys.executable, "-m", "benchmarks.worker", *arguments, "--rounds=1", f"--json={written}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(written.read_text())["results"]
    return results, done.stdout


def test_it_compares_new_resumed_and_silent_connections_and_ends_by_itself(tmp_path: Path):
    results, said = measure(tmp_path, "new", "resumed", "idle", "--seconds=0.5", "--idle=200")
    assert "| kB for a silent connection |" in said
    for figure in ("new", "resumed"):
        for side in ("ours", "theirs"):
            assert results[figure]["per_second"][side][0] > 0
            assert results[figure]["cpu_milliseconds"][side][0] > 0
        assert "TLSv1.3" in results[figure]["cipher"]
    assert results["idle"]["ours"][0] > 0


def test_no_connection_is_lost_behind_a_balancer_while_workers_restart(tmp_path: Path):
    results, said = measure(tmp_path, "restart")
    assert "2 restarts under load: 0 of" in said
    assert results["restart"]["answered"] > 100
    assert results["restart"]["lost"] == {}


def test_workers_join_and_come_back_and_the_api_says_no_error(tmp_path: Path):
    """By the code of a real worker: its pauses, its lots, its streams."""
    results, _ = measure(tmp_path, "joining", f"--workers={WORKERS}")
    joined = results["joining"]
    # Targets of the product, many times what it takes.
    assert joined["joined"] < 30
    assert joined["came_back"] < 30
    assert joined["errors"] == []
    # The API that all came back to twice holds no more than the one that they joined.
    assert joined["memory"][-1] < joined["memory"][0] * 1.3
