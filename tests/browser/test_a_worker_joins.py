"""From the command in the key dialog to a worker that answers, and back: with real processes and a browser."""

import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser.product import Console, become_the_first_administrator, browsing, started
from tests.house.checkout import ROOT, free_port

pytestmark = pytest.mark.process


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    with started(tmp_path) as console:
        yield console


@pytest.fixture
def context(browser: Browser, console: Console) -> Iterator[BrowserContext]:
    with browsing(browser, console) as context:
        yield context


# As exit codes of the sdm command are documented in docs/worker.md.
KEY_DELETED = 77


@contextmanager
def pasted(command: str, directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command in a shell, as in a second terminal; what it says is in the file."""
    programs, log = directory / "bin", directory / "worker.log"
    programs.mkdir()
    sdm = programs / "sdm"
    sdm.write_text(f'#!/bin/sh\nexec {sys.executable} -m sdm "$@"\n')
    sdm.chmod(0o755)
    env = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "SDM_ORCHESTRATOR_PROBES": f"127.0.0.1:{free_port()}",
        "SDM_METRICS_LISTEN_ADDRESS": f"127.0.0.1:{free_port()}",
    }
    shell = shutil.which("bash")
    assert shell
    with log.open("wb") as output:
        # As the shell's own process, so that its exit code and its signals are the worker's.
        script = command.rstrip().replace("sdm proxy", "exec sdm proxy")
        process = subprocess.Popen([shell, "-c", script], env=env, stdout=output, stderr=output)
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def answer_at(address: str) -> tuple[int, str]:
    """What `curl -k https://address` gets."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    try:
        urllib.request.urlopen(f"https://{address}/", timeout=10, context=trusting)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    pytest.fail("a worker answers 404 to everybody")


def test_the_dialog_turns_green_and_a_deleted_key_stops_the_worker(
    page: Page, console: Console, tmp_path: Path
):
    address = f"127.0.0.1:{free_port()}"
    become_the_first_administrator(page, console)
    dialog = page.get_by_role("dialog")
    command = add_a_cluster_and_a_key(page, dialog, address)
    (tmp_path / "worker").mkdir()
    with pasted(command, tmp_path / "worker") as (worker, log):
        expect(dialog.locator("#arrivals")).to_contain_text("started", timeout=30_000)
        expect(dialog.locator("#arrivals")).to_contain_text("Address answers", timeout=30_000)
        assert answer_at(address) == (404, "404 Not Found\n")
        close(dialog)
        expect(page.get_by_text("1 of 1 worker online")).to_be_visible(timeout=12_000)
        delete_the_key(page, dialog)
        assert worker.wait(5) == KEY_DELETED
        last = log.read_text().splitlines()[-1]
        assert "The access key is deleted." in last
    assert command_secret(command) not in log.read_text() + console.log.read_text()
    assert "Traceback" not in console.log.read_text()


def add_a_cluster_and_a_key(page: Page, dialog: Locator, address: str) -> str:
    """The command for a shell that the dialog shows."""
    page.get_by_role("link", name="Add proxy cluster").first.click()
    dialog.get_by_label("Name").fill("keen-coffee")
    dialog.get_by_label("Advertised Address").fill(address)
    dialog.get_by_role("button", name="Create proxy cluster").click()
    page.wait_for_url("**/keys/")
    page.get_by_role("button", name="Add authentication key").click()
    expect(dialog).to_contain_text("Waiting for a worker")
    return dialog.locator("#command-shell").text_content() or ""


def command_secret(command: str) -> str:
    found = re.search(r"sdmpck_\w+", command)
    assert found
    return found[0]


def close(dialog: Locator) -> None:
    """At once: nothing was copied, but a worker has the key."""
    dialog.get_by_role("link", name="Done").click()


def delete_the_key(page: Page, dialog: Locator) -> None:
    page.get_by_role("link", name=re.compile("^Delete gk-")).click()
    dialog.get_by_label("Type keen-coffee to confirm").fill("keen-coffee")
    dialog.get_by_role("button", name="Delete key").click()
    expect(page.get_by_text("is deleted")).to_be_visible()
