"""`sdm status --filter`: the words of the console's search."""

import pytest

from sdm.cli.filters import WrongFilter, parse

ORDERS = {
    "id": "rs-1",
    "name": "orders-db",
    "type": "postgres",
    "cluster": "keen-coffee",
    "status": "connected",
    "healthy": True,
    "tags": {"Environment": "test", "Team": "blue sky", "Owner": ""},
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "orders",
        "ORDERS",
        "o*db",
        "name:orders-db",
        "type:post",
        "kind:Postgres",
        "cluster:coffee",
        "tags:Environment",
        "tag:Environment=test",
        "tags:Environment=t*",
        "tags:*=*sky",
        'tags:Team="blue sky"',
        "tags:Owner=",
        "status:connected",
        "healthy:true",
        "id:rs-1",
        "orders type:postgres tags:Environment=test",
    ],
)
def test_it_is_found(text: str):
    assert parse(text)(ORDERS)


@pytest.mark.parametrize(
    "text",
    [
        "wiki",
        "orders wiki",
        "type:ssh",
        "tags:environment",
        "tags:Environment=Test",
        "tags:Environment=tes",
        "tags:Environment=",
        "status:not-connected",
        "healthy:false",
        "healthy:unknown",
        "id:rs",
        "orders.db",
    ],
)
def test_it_is_not_found(text: str):
    assert not parse(text)(ORDERS)


@pytest.mark.parametrize(
    ("text", "words"), [("colour:blue", "colour:"), ("healthy:yes", "unknown"), ('"orders', "not closed")]
)
def test_what_means_nothing_is_refused_in_words(text: str, words: str):
    with pytest.raises(WrongFilter, match=words):
        parse(text)
