"""The data path's benchmark in miniature, so that it still runs on the day somebody needs it. It asserts no time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.path import peers
from benchmarks.tls_servers import MissingProgram
from tests.house.checkout import ROOT

pytestmark = pytest.mark.process


def measure(directory: Path, *arguments: str) -> tuple[dict[str, Any], str]:
    written = directory / "figures.json"
    command = [sys.executable, "-m", "benchmarks.datapath", *arguments, "--rounds=1", f"--json={written}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(written.read_text())["results"]
    return results, done.stdout


def has_both_sides(figure: dict[str, Any]) -> bool:
    return all(figure["compared"][side][0] > 0 for side in ("ours", "theirs"))


def test_what_passes_through_a_worker_is_compared_with_haproxy(tmp_path: Path):
    figures = ("bulk", "pings", "stalled", "sessions", "agent")
    results, said = measure(tmp_path, *figures, "--seconds=0.5", "--size=5", "--stalled=5")
    assert "| COPY in: MB for a second of the proxy's CPU |" in said
    for figure in ("pings", "sessions"):
        assert all(has_both_sides(each) for each in results[figure])
    # A few readers are not measured in pages; that they are let stall is seen above.
    assert len(results["stalled"]) == 2
    assert results["agent"][1]["found"]


def test_every_query_and_request_is_answered_by_both_sides(tmp_path: Path):
    results, said = measure(tmp_path, "queries", "sites", "--seconds=0.5", "--clients=2")
    assert "| pgbench -S, extended, 2 clients: transactions a second |" in said
    for figures in results.values():
        assert all(has_both_sides(each) for each in figures if "compared" in each)


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(
        MissingProgram, match="apt-get install haproxy nginx pgbouncer postgresql-contrib wrk"
    ):
        peers.versions()
