"""Websites as people use them: curl and a browser, in front of a real nginx."""

import hashlib
import json
import os
import re
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import TIMEOUT_MS
from tests.end_to_end.product import HANG, Product
from tests.end_to_end.programs import Website
from tests.end_to_end.sites import LARGE

pytestmark = pytest.mark.process

# Far less than it would hold of a download; buffers and what the interpreter likes to keep.
GROWTH = 32 * 1024 * 1024


def url(product: Product, path: str = "/", name: str = "wiki") -> str:
    return f"http://127.0.0.1:{product.machine.port(name)}{path}"


def curl(*words: str) -> str:
    command = ["curl", "-sS", "--max-time", str(HANG), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_gets_a_page_and_its_head(product: Product):
    assert "<h1>Wiki</h1>" in curl(url(product))
    head = curl("-I", url(product, "/style.css"))
    assert head.startswith("HTTP/1.1 200 OK\n")
    assert "\ncontent-type: text/css\n" in head
    assert curl("-o", "/dev/null", "-w", "%{http_code}", url(product, "/nothing")) == "404"


@pytest.mark.parametrize("how", [[], ["-H", "Transfer-Encoding: chunked"]], ids=["length", "chunked"])
def test_a_large_body_is_uploaded_whole(product: Product, files: Path, how: list[str]):
    data = os.urandom(1 << 20) * 20
    (files / "body").write_bytes(data)
    said = curl("--data-binary", f"@{files / 'body'}", *how, url(product, "/upload"))
    assert said == f"{len(data)} {hashlib.sha256(data).hexdigest()}\n"


def test_many_requests_go_over_one_connection(product: Product):
    pages = curl("-w", "%{num_connects}\n", *(url(product, f"/style.css?{n}") for n in range(5)))
    assert re.findall(r"^[01]$", pages, re.MULTILINE) == ["1", "0", "0", "0", "0"]


@pytest.mark.parametrize("path", ["/old", "/away"])
def test_redirects_stay_on_the_local_port(product: Product, path: str):
    went = curl("-L", "-o", "/dev/null", "-w", "%{http_code} %{url_effective}", url(product, path))
    assert went == f"200 {url(product, '/index.html')}"


def test_the_password_is_put_in_and_never_seen(product: Product, website: Website):
    said = curl("-v", "--stderr", "-", url(product, "/private", "private-wiki"))
    assert "Only for those who know the word." in said
    assert "uthorization" not in said
    # Without it, the site would have asked.
    assert curl("-o", "/dev/null", "-w", "%{http_code}", url(product, "/private")) == "401"
    assert re.search(r"^GET /private 200 \[Basic [^\]]+\]", website.log, re.MULTILINE)


def test_a_persons_own_credentials_are_not_passed_on(product: Product, website: Website):
    mine = ["-H", "Authorization: Bearer my-own-word", "-H", "X-Forwarded-For: 10.0.0.1"]
    curl(*mine, url(product, "/style.css?mine"))
    curl(*mine, url(product, "/private?mine", "private-wiki"))
    product.office.until(lambda: "/private?mine 200" in website.log)
    assert "my-own-word" not in website.log
    assert f"GET /style.css?mine 200 [-] [-] [127.0.0.1:{website.port}]" in website.log


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"POST /upload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    ],
    ids=["head", "body"],
)
def test_who_speaks_no_http_is_refused_at_once(product: Product, words: bytes):
    """And nobody takes it for a fault of the worker's, whose log the product is asked for at the end."""
    port = product.machine.port("wiki")
    with socket.create_connection(("127.0.0.1", port), timeout=HANG) as sock:
        sock.sendall(words)
        answer = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_https_is_refused_at_once(product: Product):
    address = f"https://127.0.0.1:{product.machine.port('wiki')}/"
    done = subprocess.run(["curl", "-sSk", "--max-time", str(HANG), address], capture_output=True, text=True)
    assert done.returncode == 35, done.stderr  # of curl: a problem in the handshake; 28 would be the timeout


def test_another_sites_page_cannot_use_the_port(product: Product):
    code = ["-o", "/dev/null", "-w", "%{http_code}"]
    assert curl(*code, "-H", "Host: evil.example.com", url(product)) == "421"
    assert (
        curl(*code, "-H", "Sec-Fetch-Site: cross-site", "-H", "Sec-Fetch-Mode: cors", url(product)) == "403"
    )


def test_a_browser_shows_a_page_with_its_assets_and_a_socket(product: Product, browser: Browser):
    context = browser.new_context()
    page, failed = context.new_page(), []
    page.set_default_timeout(TIMEOUT_MS)
    page.on("console", lambda message: failed.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(url(product))
    expect(page.get_by_role("heading", name="Wiki")).to_have_css("color", "rgb(1, 2, 3)")
    # The site sees a page of its own, at its own address.
    expect(page.locator("#said")).to_contain_text("heard: hello from a page at http://127.0.0.1:")
    assert page.evaluate("document.images[0].naturalWidth") == 64
    context.close()
    assert not failed


def test_a_large_download_passes_without_being_held(product: Product):
    pids = product.workers[0].children()
    before, most, done = memory(pids), 0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, memory(pids))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        size = curl("-o", "/dev/null", "-w", "%{size_download}", url(product, "/large"))
    finally:
        done.set()
        watching.join()
    assert size == str(LARGE)
    assert most - before < GROWTH


def test_a_download_that_nobody_reads_is_not_held_either(product: Product):
    pids = product.workers[0].children()
    before = memory(pids)
    slow = subprocess.Popen(["curl", "-sS", "--limit-rate", "1k", "-o", "/dev/null", url(product, "/large")])
    try:
        time.sleep(1)
        assert memory(pids) - before < GROWTH
    finally:
        slow.kill()
        slow.wait()


def test_each_request_is_in_the_log(product: Product, console: Page):
    curl(url(product, "/style.css?in-the-log"))
    query = product.query("wiki", "GET /style.css?in-the-log")
    assert (query["result"], query["error"]) == ("200", "")
    assert query["bytes_received"] > 0
    console.goto("/audit/queries/?kind=httpNoAuth")
    expect(console.get_by_role("row").filter(has_text="in-the-log")).to_contain_text("alice@example.com")


def test_what_the_agent_says_in_json_is_enough_to_open_it(product: Product):
    wiki = told(product, "wiki")
    assert "<h1>Wiki</h1>" in curl(f"http://{wiki['address']}{wiki['path'] or '/'}")


def test_a_browser_keeps_the_cookies_of_a_website_from_the_others(product: Product, browser: Browser):
    context = browser.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.goto(told(product, "wiki")["url"])
    expect(page.get_by_role("heading", name="Wiki")).to_be_visible()
    page.evaluate("document.cookie = 'mine=1'; document.cookie = 'all=1; domain=localhost'")
    assert page.evaluate("document.cookie") == "mine=1"
    page.goto(told(product, "private-wiki")["url"])
    assert page.evaluate("document.cookie") == ""
    context.close()


def told(product: Product, name: str) -> dict[str, Any]:
    resources: list[dict[str, Any]] = json.loads(product.machine.run("status", "--json").stdout)["resources"]
    (found,) = [one for one in resources if one["name"] == name]
    return found


def memory(pids: list[int]) -> int:
    """What these processes hold for themselves, in bytes."""
    total = 0
    for pid in pids:
        found = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        total += int(found[1]) * 1024 if found else 0
    return total
