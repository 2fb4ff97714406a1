"""The address of a website: by a name that no other has, so that its cookies are its own."""

import re

import pytest

from sdm.client import status
from sdm.client.catalog import Entry
from sdm.wire.http.heads import Fields, RequestHead
from sdm.wire.http.rewriting import check_request


def url_of(name: str, *, category: str = "website", port: int = 10_001, path: str = "") -> str:
    entry = Entry("rs-1", name, "httpNoAuth", category, "keen-coffee", port, path=path)
    return str(status.of_resource(entry, None, wanted=False)["url"])


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("wiki", "wiki"),
        ("Wiki-2", "wiki-2"),
        ("7", "7"),
        ("w" * 63, "w" * 63),
        # No host is called so. The port keeps those apart that come to the same.
        ("my wiki", "my-wiki-10001"),
        ("my_wiki", "my-wiki-10001"),
        ("wiki.example.com", "wiki-example-com-10001"),
        ("-wiki-", "wiki-10001"),
        ("xn--80ak6aa92e", "xn-80ak6aa92e-10001"),
        ("Bücher", "b-cher-10001"),
        ("\N{KELVIN SIGN}iwi", "kiwi-10001"),
        ("書庫", "10001"),
        ("evil.example/@", "evil-example-10001"),
        ("w" * 64, "w" * 40 + "-10001"),
    ],
)
def test_a_website_has_an_address_with_a_name_of_its_own(name: str, host: str):
    assert url_of(name) == f"http://{host}.localhost:10001/"
    assert re.fullmatch(r"[a-z0-9-]{1,63}", host)


@pytest.mark.parametrize("name", ["wiki", "my wiki", "書庫", "w" * 200])
def test_workers_take_the_name_for_this_machine_and_a_page_there_for_the_site_itself(name: str):
    host = url_of(name).removeprefix("http://").removesuffix("/").encode()
    fields = Fields([(b"host", host), (b"origin", b"http://" + host)])
    check_request(RequestHead(b"POST", b"/", 1, fields))


def test_the_page_that_is_opened_first_is_in_the_address():
    assert url_of("wiki", path="/start?q=1") == "http://wiki.localhost:10001/start?q=1"


def test_what_is_no_website_or_has_no_port_has_no_such_address():
    assert url_of("orders", category="datasource") == ""
    assert url_of("wiki", port=0) == ""
