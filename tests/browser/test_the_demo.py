"""What README.md promises for the first five minutes: `./dev demo`, three commands, a prompt, and who ends it.

Typed as they are told: `.venv/bin/sdm login --app-domain 127.0.0.1:8001`, `.venv/bin/sdm connect orders-db`,
`psql -h 127.0.0.1 -p 10000 orders`, with other ports, as the usual ones may be taken.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import TIMEOUT_MS
from tests.house.checkout import ROOT, free_port, run_environment, running

pytestmark = pytest.mark.process

QUERY = "TABLE orders LIMIT 5;"


@dataclass
class Demo:
    url: str
    email: str
    password: str
    # As they are printed.
    commands: list[str]
    environment: dict[str, str]

    def type(self, command: str) -> "subprocess.Popen[str]":
        """In another terminal."""
        words = shlex.split(command)
        program = [sys.executable, "-m", "sdm"] if words[0].endswith("sdm") else [words[0]]
        return subprocess.Popen(
            [*program, *words[1:]],
            env=self.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    log = tmp_path / "log"
    env = run_environment(tmp_path, SDM_BIND_ADDRESS=f"127.0.0.1:{free_port()}")
    with running(env, log, "demo") as process:
        deadline = time.monotonic() + 60
        while not (printed := re.findall(r"^ {4}(\S.+)$", log.read_text(), re.MULTILINE)):
            assert time.monotonic() < deadline, log.read_text()
            assert process.poll() is None, log.read_text()
            time.sleep(0.2)
        told = dict(re.findall(r"^(Console|Sign in|Password) +(\S+)$", log.read_text(), re.MULTILINE))
        home = {"SDM_HOME": str(tmp_path / "home"), "BROWSER": "true"}
        yield Demo(told["Console"], told["Sign in"], told["Password"], printed, os.environ | home)
        process.terminate()
        assert process.wait(60) in (0, 130)
    assert "Traceback" not in log.read_text()


def test_three_commands_end_in_a_prompt_and_a_session_that_is_seen_and_ended(demo: Demo, browser: Browser):
    login, connect, psql = demo.commands
    page = browser.new_context(base_url=demo.url, viewport={"width": 1440, "height": 900}).new_page()
    page.set_default_timeout(TIMEOUT_MS)
    logging_in = demo.type(login)
    assert logging_in.stdout
    approve(page, demo, logging_in.stdout.readline(), logging_in)
    try:
        connected, _ = demo.type(connect).communicate(timeout=60)
        assert "orders-db: connect successful" in connected
        prompt = demo.type(psql)
        assert prompt.stdin
        assert prompt.stdout
        prompt.stdin.write(f"{QUERY}\n")
        prompt.stdin.flush()
        assert "quantity" in prompt.stdout.readline()
        find_the_query(page)
        end_the_session(page)
        prompt.stdin.write("SELECT 1;\n")
        said, _ = prompt.communicate(timeout=60)
        assert "Ada ended" in said or "administrator ended" in said, said
    finally:
        demo.type(login.replace("login", "logout").partition(" --")[0]).communicate(timeout=60)


def approve(page: Page, demo: Demo, line: str, logging_in: "subprocess.Popen[str]") -> None:
    url = re.search(r"http\S+", line)
    assert url, line
    page.goto(url[0])
    page.get_by_label("E-mail").fill(demo.email)
    page.get_by_label("Password").fill(demo.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    assert logging_in.stdout
    code = re.search(r"[A-Z]{4}-[A-Z]{4}", "".join(logging_in.stdout.readline() for _ in range(3)))
    assert code
    expect(page.get_by_text(code[0])).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    said, _ = logging_in.communicate(timeout=60)
    assert f"Logged in as {demo.email}" in said


def find_the_query(page: Page) -> None:
    page.goto("/")
    expect(page.get_by_role("navigation").first).to_contain_text("Audit")
    page.get_by_role("link", name="Queries").click()
    expect(page.get_by_role("main")).to_contain_text(QUERY.rstrip(";"), timeout=20_000)
    expect(page.get_by_role("main")).to_contain_text("ada@example.com")


def end_the_session(page: Page) -> None:
    page.get_by_role("link", name="Sessions").click()
    page.get_by_role("link", name="End session").or_(
        page.get_by_role("button", name="End session")
    ).first.click()
    page.get_by_role("button", name="End session").last.click()
    expect(page.get_by_role("main")).to_contain_text("ended", timeout=20_000)
