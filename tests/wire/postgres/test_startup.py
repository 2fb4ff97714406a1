"""What a client sends first: whole, byte by byte, cut off, too long, nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.postgres.cancel import CancelKey
from sdm.wire.postgres.errors import PostgresError
from sdm.wire.postgres.messages import Messages
from sdm.wire.postgres.startup import (
    MAX_STARTUP_LENGTH,
    SSL_REQUEST,
    VERSION_3_0,
    VERSION_3_2,
    Startup,
    StartupMessage,
    accepts_tls,
    startup_message,
    upstream_startup,
    welcome,
)

GSSENC_REQUEST = (8).to_bytes(4) + (80877104).to_bytes(4)


def packet(body: bytes, length: int | None = None) -> bytes:
    return (len(body) + 4 if length is None else length).to_bytes(4) + body


def startup(parameters: bytes, version: int = VERSION_3_0) -> bytes:
    return packet(version.to_bytes(4) + parameters)


PSQL = startup(b"user\0anne\0database\0orders\0application_name\0psql\0client_encoding\0UTF8\0\0")
PSQL_MESSAGE = StartupMessage(
    VERSION_3_0,
    (
        ("user", b"anne"),
        ("database", b"orders"),
        ("application_name", b"psql"),
        ("client_encoding", b"UTF8"),
    ),
)
KEY = CancelKey(4711, b"\x01\x02\x03\x04")

GOOD = {
    "psql": (PSQL, PSQL_MESSAGE),
    "nothing but a version": (startup(b"\0"), StartupMessage(VERSION_3_0, ())),
    "an empty value": (startup(b"user\0\0\0"), StartupMessage(VERSION_3_0, (("user", b""),))),
    "not UTF-8": (startup(b"user\0J\xf6rg\0\0"), StartupMessage(VERSION_3_0, (("user", b"J\xf6rg"),))),
    "options": (
        startup(b"options\0-c geqo=off\0\0"),
        StartupMessage(VERSION_3_0, (("options", b"-c geqo=off"),)),
    ),
    "3.2": (startup(b"user\0a\0\0", VERSION_3_2), StartupMessage(VERSION_3_2, (("user", b"a"),))),
    "a cancel request": (KEY.request(), KEY),
    "a cancel request of 3.2": (CancelKey(1, bytes(256)).request(), CancelKey(1, bytes(256))),
}
good = pytest.mark.parametrize(("data", "expected"), GOOD.values(), ids=GOOD)

BAD = {
    "length 0": packet(b"", 0),
    "length 3": packet(b"", 3),
    "length 4": packet(b""),
    "length 7": packet(b"\0\3\0", 7),
    "length 2^31-1": packet(b"", 2**31 - 1),
    "length 2^32-1": packet(b"", 2**32 - 1),
    "too long": packet(b"", MAX_STARTUP_LENGTH + 1),
    "HTTP": b"GET / HTTP/1.1\r\n",
    "direct TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "version 2.0": startup(b"\0", 2 << 16),
    "version 4.0": startup(b"\0", 4 << 16),
    "no parameters at all": startup(b""),
    "missing NUL": startup(b"user\0anne\0"),
    "missing NULs": startup(b"user\0anne"),
    "a name without a value": startup(b"user\0anne\0database\0\0"),
    "something behind the end": startup(b"user\0anne\0\0more\0"),
    "user twice": startup(b"user\0anne\0user\0root\0\0"),
    "database twice": startup(b"database\0a\0user\0b\0database\0c\0\0"),
    "no name": startup(b"\0anne\0\0"),
    "a name that is none": startup(b"us er\0anne\0\0"),
    "a name in another script": startup("usér\0anne\0\0".encode()),
    "a thousand parameters": startup(b"".join(b"a%d\0x\0" % n for n in range(1000)) + b"\0"),
    "SSLRequest twice": SSL_REQUEST * 2,
    "SSLRequest with more": packet(SSL_REQUEST[4:] + b"x"),
    "SSLRequest with data behind": SSL_REQUEST + PSQL,
    "GSSENCRequest with data behind": GSSENC_REQUEST + b"\0",
    "a cancel request without a key": packet(KEY.request()[4:8]),
    "a cancel request without a secret": packet(KEY.request()[4:12]),
    "a cancel request with a long secret": CancelKey(1, bytes(257)).request(),
}


@good
def test_a_whole_packet_is_read_and_what_follows_is_left(data: bytes, expected: object):
    for rest in (b"", b"Q\0\0\0\5\0"):
        reader = Startup()
        assert reader.feed(data + rest) == expected
        assert reader.rest == rest
        assert reader.data_to_send() == b""


@good
def test_byte_by_byte_it_is_the_same(data: bytes, expected: object):
    reader = Startup()
    *before, last = [reader.feed(data[index : index + 1]) for index in range(len(data))]
    assert before == [None] * (len(data) - 1)
    assert last == expected


@good
def test_cut_off_anywhere_it_waits_for_more(data: bytes, expected: object):
    for cut in range(len(data)):
        reader = Startup()
        assert reader.feed(data[:cut]) is None
        assert reader.feed(data[cut:]) == expected


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_start_is_refused(data: bytes):
    with pytest.raises(PostgresError):
        Startup().feed(data)


def test_a_refused_length_is_refused_before_its_bytes_come():
    with pytest.raises(PostgresError):
        Startup().feed(packet(b"", MAX_STARTUP_LENGTH + 1)[:4])


def test_requests_for_encryption_are_answered_once_each():
    reader = Startup()
    for request in (GSSENC_REQUEST, SSL_REQUEST):
        assert reader.feed(request) is None
        assert reader.data_to_send() == b"N"
        assert reader.data_to_send() == b""
    assert reader.feed(PSQL) == PSQL_MESSAGE


@pytest.mark.parametrize("request_", [SSL_REQUEST, GSSENC_REQUEST], ids=["SSL", "GSSENC"])
def test_the_same_request_again_is_refused(request_: bytes):
    reader = Startup()
    reader.feed(request_)
    reader.data_to_send()
    with pytest.raises(PostgresError, match="answered before"):
        reader.feed(request_)


def test_who_begins_with_tls_is_told_what_to_do():
    with pytest.raises(PostgresError) as refused:
        Startup().feed(b"\x16\x03\x01\x02\x00")
    assert "sslmode" in refused.value.report.hint


def test_after_the_start_there_is_no_other():
    reader = Startup()
    reader.feed(PSQL)
    with pytest.raises(PostgresError):
        reader.feed(PSQL)


@given(st.binary(max_size=300), st.sampled_from([b"", PSQL[:8], SSL_REQUEST, KEY.request()[:8]]))
def test_nonsense_is_refused_or_waited_for_and_never_more(data: bytes, begin: bytes):
    reader = Startup()
    try:
        found = reader.feed(begin + data)
    except PostgresError as error:
        assert error.report.to_bytes().startswith(b"E")
        return
    assert found is None or isinstance(found, StartupMessage | CancelKey)


NAMES = st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True)
VALUES = st.binary(max_size=50).map(lambda value: value.replace(b"\0", b""))


@given(st.dictionaries(NAMES, VALUES, max_size=20))
def test_what_is_written_is_read(parameters: dict[str, bytes]):
    data = startup_message((name.encode(), value) for name, value in parameters.items())
    assert Startup().feed(data) == StartupMessage(VERSION_3_0, tuple(parameters.items()))


def sent_upstream(data: bytes, *, allow_replication: bool = False) -> StartupMessage:
    asked = Startup().feed(data)
    assert isinstance(asked, StartupMessage)
    sent = upstream_startup(asked, user="app", database="shop", allow_replication=allow_replication)
    again = Startup().feed(sent)
    assert isinstance(again, StartupMessage)
    return again


def test_user_and_database_are_the_resources_and_the_rest_passes():
    asked = startup(
        b"database\0postgres\0user\0root\0options\0-c role=x\0_pq_.grease\0on\0TimeZone\0UTC\0\0", VERSION_3_2
    )
    assert sent_upstream(asked) == StartupMessage(
        VERSION_3_0,
        (("user", b"app"), ("database", b"shop"), ("options", b"-c role=x"), ("TimeZone", b"UTC")),
    )


@pytest.mark.parametrize("value", [b"true", b"database", b"1", b"on", b"ON", b"", b"nonsense"])
def test_replication_is_refused_unless_the_resource_allows_it(value: bytes):
    asked = startup(b"user\0a\0replication\0" + value + b"\0\0")
    with pytest.raises(PostgresError, match="replication"):
        sent_upstream(asked)
    assert sent_upstream(asked, allow_replication=True).get("replication") == value


def test_replication_that_is_not_wanted_is_no_replication():
    assert sent_upstream(startup(b"user\0a\0replication\0false\0\0")).get("replication") is None


@pytest.mark.parametrize(("user", "database"), [("", "shop"), ("a\0b", "shop"), ("a", "shop\0x")])
def test_a_resource_without_a_proper_user_is_refused(user: str, database: str):
    with pytest.raises(PostgresError):
        upstream_startup(PSQL_MESSAGE, user=user, database=database, allow_replication=False)


def test_what_was_asked_for_can_be_shown():
    assert StartupMessage(VERSION_3_0, (("user", b"J\xf6rg"),)).database == "J\ufffdrg"


def answers(data: bytes) -> list[tuple[bytes, bytes]]:
    return [(found.kind, found.body) for found in Messages().feed(data)]


def test_a_client_is_told_all_it_waits_for():
    told = answers(welcome(PSQL_MESSAGE, KEY, [(b"server_version", b"15.1")], notices=[b"N\0\0\0\5\0"]))
    assert told == [
        (b"R", bytes(4)),
        (b"S", b"server_version\x0015.1\0"),
        (b"K", (4711).to_bytes(4) + KEY.secret),
        (b"N", b"\0"),
        (b"Z", b"I"),
    ]


VERSIONS = {
    "3.0": (VERSION_3_0, b"", 4, None),
    "3.0 with an option": (VERSION_3_0, b"_pq_.x\0y\0", 4, b"\0\3\0\0\0\0\0\1_pq_.x\0"),
    "3.1": (3 << 16 | 1, b"", 4, b"\0\3\0\0\0\0\0\0"),
    "3.2": (VERSION_3_2, b"", 32, None),
    "3.9999": (3 << 16 | 9999, b"", 32, b"\0\3\0\2\0\0\0\0"),
}


@pytest.mark.parametrize(("version", "options", "secret", "told"), VERSIONS.values(), ids=VERSIONS)
def test_versions_are_negotiated(version: int, options: bytes, secret: int, told: bytes | None):
    asked = Startup().feed(startup(b"user\0a\0" + options + b"\0", version))
    assert isinstance(asked, StartupMessage)
    assert asked.secret_length == secret
    first = answers(welcome(asked, KEY, []))[0]
    assert first == ((b"R", bytes(4)) if told is None else (b"v", told))


def test_a_servers_answer_about_tls_is_one_byte():
    assert accepts_tls(b"S")
    assert not accepts_tls(b"N")
    for answer in (b"", b"E", b"SS", b"S\x16\x03", b"N\0", b"EFATAL"):
        with pytest.raises(PostgresError):
            accepts_tls(answer)
