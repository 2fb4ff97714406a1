"""A directory in which nothing can be written: people hear which and why, and what needs no disk works."""

import errno
import json
import os
import socket
from pathlib import Path

import pytest

from sdm.client.home import UnusableHome, write_json
from sdm.exit_codes import ExitCode
from tests.client.conftest import Offer, Sdm
from tests.client.control_plane import Plane
from tests.client.ports import said_back
from tests.worker.processes import Worker, until


@pytest.mark.process
def test_what_cannot_be_kept_is_not_done_and_the_reason_is_told(
    plane: Plane, sdm: Sdm, worker: Worker, offer: Offer
):
    offer("orders")
    sdm.login(plane)
    sdm.listen()
    (sdm.home / "connections.json").mkdir()  # in its place, nothing can be written
    done = sdm.run("connect", "orders", "--json")
    assert done.returncode == ExitCode.CONFIGURATION
    told = json.loads(done.stdout)
    assert told["error"] == f"connections.json in {sdm.home} cannot be written: Is a directory."
    assert told["reason"] == "configuration"
    assert not sdm.is_connected("orders")
    (sdm.home / "connections.json").rmdir()
    assert sdm.run("connect", "orders").returncode == 0


@pytest.mark.process
def test_connections_need_no_disk(plane: Plane, sdm: Sdm, worker: Worker, offer: Offer):
    orders = offer("orders")
    sdm.login(plane)
    (sdm.home / "connections.json").write_text(json.dumps({"resources": [orders]}))
    sdm.listen()
    until(lambda: sdm.is_connected("orders"))
    port = sdm.port("orders")
    sdm.home.rename(sdm.home.with_name("elsewhere"))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        assert said_back(sock, b"hello") == b"hello"


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = tmp_path / "connections.json"
    write_json(kept, {"resources": []})
    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(UnusableHome, match=f"{tmp_path} cannot be written: No space left on device"):
        write_json(kept, {"resources": ["rs-1"]})
    assert json.loads(kept.read_text()) == {"resources": []}
    assert list(tmp_path.iterdir()) == [kept]
