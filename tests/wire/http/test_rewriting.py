"""The site sees its own requests, and nothing of the person's; the browser stays where it is."""

from dataclasses import replace

import pytest

from sdm.wire.http import heads, rewriting
from sdm.wire.http.heads import HttpError, RequestHead
from sdm.wire.http.rewriting import Site

SITE = Site(
    b"https://wiki.internal:8443",
    b"wiki.internal:8443",
    added=((b"x-environment", b"production"), rewriting.basic("svc", "geheim")),
    own_cookies=frozenset({b"session", b"__Host-session"}),
)
HERE = b"Host: 127.0.0.1:10001"


def request(*fields: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = HERE) -> RequestHead:
    return heads.parse_request(b"\r\n".join([line, host, *fields]))


def sent(*fields: bytes) -> list[tuple[bytes, bytes]]:
    return rewriting.request_fields(SITE, request(*fields))


def test_the_stored_credentials_stand_in_for_whatever_the_client_sent():
    fields = sent(b"Authorization: Bearer mine", b"AUTHORIZATION: Basic mine", b"X-Environment: other")
    assert [each for each in fields if each[0] == b"authorization"] == [rewriting.basic("svc", "geheim")]
    assert [each for each in fields if each[0] == b"x-environment"] == [(b"x-environment", b"production")]


@pytest.mark.parametrize(
    "field",
    [
        b"Proxy-Authorization: Bearer ticket",
        b"Sdm-Client-Proof: proof",
        b"X-Forwarded-For: 10.0.0.1",
        b"X-Forwarded-User: root",
        b"X-Real-Ip: 10.0.0.1",
        b"Forwarded: for=10.0.0.1",
        b"X-Remote-User: root",
        b"X-Webauth-User: root",
        b"Remote-User: root",
        b"X-Forwarded-Email: root@example.com",
        b"X-Auth-Request-User: root",
        b"X-Goog-Authenticated-User-Email: accounts.google.com:root@example.com",
        b"Cf-Access-Authenticated-User-Email: root@example.com",
        b"X-Ms-Client-Principal-Name: root",
        b"X-Original-Url: /admin",
        b"X-Rewrite-Url: /admin",
        b"X_Forwarded_User: root",
        b"Remote_User: root",
        b"X_Environment: other",
        b"x-FORWARDED_user: root",
        b"Te: trailers",
        b"Trailer: x",
        b"Upgrade: h2c",
        b"Keep-Alive: 5",
    ],
)
def test_what_is_of_this_connection_or_a_claim_goes_no_further(field: bytes):
    assert sent(field) == sent()


def test_connection_cannot_take_away_what_is_put_in():
    fields = dict(sent(b"Connection: authorization, host, x-environment, x-mine", b"X-Mine: 1"))
    assert fields[b"authorization"]
    assert fields[b"host"] == b"wiki.internal:8443"
    assert fields[b"x-environment"] == b"production"
    assert b"x-mine" not in fields


def test_the_site_is_called_by_its_own_name():
    fields = dict(sent(b"Origin: http://127.0.0.1:10001", b"Referer: http://127.0.0.1:10001/a?b"))
    assert fields[b"host"] == b"wiki.internal:8443"
    assert fields[b"origin"] == b"https://wiki.internal:8443"
    assert fields[b"referer"] == b"https://wiki.internal:8443/a?b"


def test_a_site_with_another_name_is_known_by_it():
    site = replace(SITE, host=b"wiki.example.com")
    head = request(b"Origin: http://127.0.0.1:10001", b"Referer: http://127.0.0.1:10001/a")
    fields = dict(rewriting.request_fields(site, head))
    assert fields[b"host"] == b"wiki.example.com"
    assert fields[b"origin"] == b"https://wiki.example.com"
    assert fields[b"referer"] == b"https://wiki.example.com/a"
    for location in (b"https://wiki.example.com/page", b"https://wiki.internal:8443/page"):
        answered = heads.parse_response(b"HTTP/1.1 302 Found\r\nLocation: " + location)
        assert rewriting.response_fields(site, answered) == [(b"location", b"/page")]


def test_another_origin_stays_what_it_is():
    assert dict(sent(b"Origin: http://127.0.0.1:100011"))[b"origin"] == b"http://127.0.0.1:100011"


@pytest.mark.parametrize(
    "name", [b"X-Environments", b"X-Forward", b"Remote-Users", b"X_Mine", b"X-Request-Id"]
)
def test_a_name_that_only_resembles_a_claim_goes_on(name: bytes):
    assert (name.lower(), b"1") in sent(name + b": 1")


def test_cookies_of_the_console_stay_here():
    assert dict(sent(b"Cookie: a=1; session=ours; __Host-session=ours; b=2"))[b"cookie"] == b"a=1; b=2"
    assert b"cookie" not in dict(sent(b"Cookie: session=ours"))


@pytest.mark.parametrize(
    "host",
    [b"127.0.0.1", b"127.0.0.1:10001", b"localhost:10001", b"LOCALHOST", b"wiki.localhost:1", b"[::1]:10001"],
)
def test_the_local_names_are_good(host: bytes):
    rewriting.check_request(request(host=b"Host: " + host))


@pytest.mark.parametrize(
    "host", [b"evil.example", b"127.0.0.1.evil.example", b"10.0.0.1", b"localhost:x", b"a@127.0.0.1", b""]
)
def test_a_name_that_was_made_to_point_here_is_not(host: bytes):
    with pytest.raises(HttpError) as refused:
        rewriting.check_request(request(host=b"Host: " + host))
    assert refused.value.status == 421


def test_a_request_has_one_host():
    with pytest.raises(HttpError) as refused:
        rewriting.check_request(request(HERE))
    assert refused.value.status == 400


def test_another_site_s_page_does_not_act_here_but_a_link_may_be_followed():
    rewriting.check_request(request(b"Sec-Fetch-Site: same-origin"))
    rewriting.check_request(request(b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate"))
    for fields, line in (
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: cors"], b"GET / HTTP/1.1"),
        ([b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate"], b"POST / HTTP/1.1"),
    ):
        with pytest.raises(HttpError) as refused:
            rewriting.check_request(request(*fields, line=line))
        assert refused.value.status == 403


@pytest.mark.parametrize(
    "fields",
    [
        # Another local port is another resource, and to a browser the same site.
        [b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Mode: no-cors"],
        [b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Mode: websocket"],
        [b"Sec-Fetch-Site: something-new"],
        # In a frame nobody sees what they click on.
        [b"Sec-Fetch-Site: cross-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: iframe"],
        [b"Sec-Fetch-Site: same-site", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: object"],
        # Browsers that say no more than this, also with a WebSocket, whose answers any page could read.
        [b"Origin: https://evil.example"],
        [b"Origin: https://evil.example", b"Connection: Upgrade", b"Upgrade: websocket"],
        [b"Origin: http://127.0.0.1:10002"],
        [b"Origin: http://127.0.0.1:10001.evil.example"],
        [b"Origin: null"],
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_page_of_elsewhere_does_not_act_here(method: bytes, fields: list[bytes]):
    with pytest.raises(HttpError) as refused:
        rewriting.check_request(request(*fields, line=method + b" / HTTP/1.1"))
    assert refused.value.status == 403


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b"Origin: http://127.0.0.1:10001"],
        [b"Sec-Fetch-Site: same-origin", b"Origin: null"],
        [b"Sec-Fetch-Site: same-origin", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: iframe"],
        [b"Sec-Fetch-Site: none", b"Sec-Fetch-Mode: navigate", b"Sec-Fetch-Dest: document"],
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_page_of_this_site_and_a_program_do(method: bytes, fields: list[bytes]):
    rewriting.check_request(request(*fields, line=method + b" / HTTP/1.1"))


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE"])
def test_methods_that_are_for_proxies_are_refused(method: bytes):
    with pytest.raises(HttpError) as refused:
        rewriting.check_request(request(line=method + b" / HTTP/1.1"))
    assert refused.value.status == 405


def answer(*fields: bytes) -> list[tuple[bytes, bytes]]:
    return rewriting.response_fields(SITE, heads.parse_response(b"\r\n".join([b"HTTP/1.1 200 OK", *fields])))


@pytest.mark.parametrize(
    ("location", "becomes"),
    [
        (b"https://wiki.internal:8443/login?x", b"/login?x"),
        (b"https://wiki.internal:8443", b"/"),
        (b"/login", b"/login"),
        (b"https://wiki.internal:84430/x", b"https://wiki.internal:84430/x"),
        (b"https://other.example/x", b"https://other.example/x"),
    ],
)
def test_a_redirect_to_the_site_stays_on_this_port(location: bytes, becomes: bytes):
    assert answer(b"Location: " + location) == [(b"location", becomes)]


def test_cookies_are_for_the_port_the_browser_is_on():
    cookie = b"Set-Cookie: id=1; Path=/; Domain=wiki.internal; Secure; HttpOnly; SameSite=None"
    assert answer(cookie) == [(b"set-cookie", b"id=1; Path=/; HttpOnly")]


@pytest.mark.parametrize("cookie", [b"session=theirs; Path=/", b" session =theirs", b"__Host-session=theirs"])
def test_a_site_cannot_set_the_console_s_cookies(cookie: bytes):
    assert answer(b"Set-Cookie: " + cookie, b"Set-Cookie: sessions=1") == [(b"set-cookie", b"sessions=1")]


def test_a_site_cannot_lock_the_port_to_tls():
    assert answer(b"Strict-Transport-Security: max-age=1", b"Connection: x-a", b"X-A: 1", b"X-B: 2") == [
        (b"x-b", b"2")
    ]


def test_a_websocket_is_asked_for_in_two_fields():
    assert rewriting.wants_websocket(request(b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket"))
    assert not rewriting.wants_websocket(request(b"Upgrade: websocket"))
    assert not rewriting.wants_websocket(request(b"Connection: Upgrade", b"Upgrade: h2c"))


def test_a_secret_is_not_in_what_is_printed():
    assert "geheim" not in repr(SITE)
    assert rewriting.basic("svc", "geheim")[1].decode() not in repr(SITE)
