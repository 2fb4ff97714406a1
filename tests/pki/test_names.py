import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.contract import ids
from sdm.pki import names
from sdm.pki.names import BadName, ClientName, Kind, WorkerName
from tests.pki.forge import CLIENT, CLUSTER, DOMAIN, WORKER

LABEL = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=20)
DOMAINS = st.lists(LABEL, min_size=1, max_size=8).map(".".join)
DIGITS = st.text("0123456789abcdef", min_size=16, max_size=16)


def test_a_worker_and_a_client_are_spelled_so():
    assert str(WORKER) == (
        "spiffe://console.example.com/cluster/n-5d41402abc4b2a76/worker/w-5d41402abc4b2a76"
    )
    assert str(CLIENT) == "spiffe://console.example.com/account/a-5d41402abc4b2a76"
    assert (WORKER.kind, WORKER.subject_id) == (Kind.WORKER, "w-5d41402abc4b2a76")
    assert (CLIENT.kind, CLIENT.subject_id) == (Kind.CLIENT, "a-5d41402abc4b2a76")


@given(DOMAINS, DIGITS, DIGITS)
def test_what_is_printed_is_read_back(domain, one, two):
    worker, client = WorkerName(domain, f"n-{one}", f"w-{two}"), ClientName(domain, f"a-{one}")
    assert names.parse(str(worker)) == worker
    assert names.parse(str(client)) == client
    assert len(str(worker)) <= names.MAX_LENGTH


def test_the_ids_that_are_made_are_the_ids_that_are_named():
    name = WorkerName(DOMAIN, ids.new_id("n"), ids.new_id("w"))
    assert names.parse(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://",
        "spiffe:///account/a-5d41402abc4b2a76",
        "https://console.example.com/account/a-5d41402abc4b2a76",
        "SPIFFE://console.example.com/account/a-5d41402abc4b2a76",
        "spiffe://Console.example.com/account/a-5d41402abc4b2a76",
        "spiffe://console.example.com:443/account/a-5d41402abc4b2a76",
        "spiffe://me@console.example.com/account/a-5d41402abc4b2a76",
        "spiffe://console..example.com/account/a-5d41402abc4b2a76",
        "spiffe://.console.example.com/account/a-5d41402abc4b2a76",
        "spiffe://console.example.com./account/a-5d41402abc4b2a76",
        "spiffe://console.example.com/account/A-5D41402ABC4B2A76",
        "spiffe://console.example.com/account/a-5d41402abc4b2a7",
        "spiffe://console.example.com/account/a-5d41402abc4b2a766",
        "spiffe://console.example.com/account/w-5d41402abc4b2a76",
        "spiffe://console.example.com/account/a-5d41402abc4b2a76/",
        "spiffe://console.example.com/account/a-5d41402abc4b2a76?x",
        "spiffe://console.example.com/account/a-5d41402abc4b2a76#x",
        "spiffe://console.example.com/account/%61-5d41402abc4b2a76",
        "spiffe://console.example.com/account/../account/a-5d41402abc4b2a76",
        "spiffe://console.example.com//account/a-5d41402abc4b2a76",
        "spiffe://console.example.com/account/a-5d41402abc4b2a76\n",
        " spiffe://console.example.com/account/a-5d41402abc4b2a76",
        "spiffe://console.example.com/account/a-5d41402abc4b2a7\u0661",
        "spiffe://cönsole.example.com/account/a-5d41402abc4b2a76",
        "spiffe://console.example.com/cluster/n-5d41402abc4b2a76",
        "spiffe://console.example.com/cluster/n-5d41402abc4b2a76/worker/n-5d41402abc4b2a76",
        "spiffe://console.example.com/cluster//worker/w-5d41402abc4b2a76",
    ],
)
def test_no_other_spelling_is_a_name(text):
    with pytest.raises(BadName):
        names.parse(text)


@pytest.mark.parametrize(
    "parts",
    [
        ("", CLUSTER, "w-5d41402abc4b2a76"),
        ("x" * 256, CLUSTER, "w-5d41402abc4b2a76"),
        ("a/b", CLUSTER, "w-5d41402abc4b2a76"),
        (DOMAIN, "n-1/../n-2", "w-5d41402abc4b2a76"),
        (DOMAIN, CLUSTER, "w-5d41402abc4b2a76/x"),
        (DOMAIN, CLUSTER, "a-5d41402abc4b2a76"),
    ],
)
def test_a_name_that_could_not_be_read_back_cannot_be_made(parts):
    with pytest.raises(BadName):
        WorkerName(*parts)


@given(st.text(max_size=600) | st.text(max_size=200).map(lambda text: f"spiffe://{text}"))
def test_any_text_is_a_name_or_said_to_be_none(text):
    try:
        name = names.parse(text)
    except BadName:
        return
    assert str(name) == text


def test_a_huge_text_is_refused_at_once():
    start = time.perf_counter()
    for text in ("spiffe://" + "a" * 10_000_000, "spiffe://" + "a." * 5_000_000, "a" * 10_000_000):
        with pytest.raises(BadName):
            names.parse(text)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("text", ["spiffe://console.example.com", "spiffe://127.0.0.1"])
def test_an_authority_is_named_by_its_domain(text):
    assert "spiffe://" + names.parse_trust_domain(text) == text


@pytest.mark.parametrize("text", ["spiffe://x/", "spiffe://x/account/a-5d41402abc4b2a76", "spiffe://", "x"])
def test_a_path_or_nothing_names_no_authority(text):
    with pytest.raises(BadName):
        names.parse_trust_domain(text)
