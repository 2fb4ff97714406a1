import datetime as dt
import re
from pathlib import Path

import heroicons
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.exceptions import ValidationError

import resources.kinds
from resources.forms import ResourceForm
from resources.kinds import KINDS, http_cleaning
from resources.kinds.base import NOT_SERVED
from resources.kinds.pem import check_certificates, check_private_key
from sdm.worker import protocols
from tests.resources.factories import PARTS, private_key

FOLDERS = sorted(path.parent.name for path in Path(resources.kinds.__file__).parent.glob("*/__init__.py"))


def folder_of(slug: str) -> str:
    return KINDS[slug].form.__module__.split(".")[-2]


def test_each_folder_is_a_kind_and_each_kind_a_folder():
    assert sorted(folder_of(slug) for slug in KINDS) == FOLDERS


def test_a_kind_says_whether_workers_speak_it():
    assert protocols.KINDS.keys() == {slug for slug, kind in KINDS.items() if kind.is_served}


def test_what_no_worker_speaks_is_said_where_a_kind_is_chosen_and_nothing_is_promised(alice_client):
    for kind in KINDS.values():
        page = alice_client.get(f"/resources/new/{kind.slug}/").content.decode()
        assert (NOT_SERVED in page) is not kind.is_served
        assert kind.is_served or not re.search("logged|recorded", kind.description)
    chosen_from = alice_client.get("/resources/new/").content.decode()
    assert chosen_from.count(NOT_SERVED) == sum(not kind.is_served for kind in KINDS.values())


@pytest.mark.parametrize("slug", KINDS)
def test_a_kind_is_complete(slug):
    """How to add a kind: a folder with `KIND` and its form; this says what is missing."""
    kind = KINDS[slug]
    assert kind.slug == slug and slug.isascii() and slug.isalnum() and slug[0].islower()
    assert kind.label and kind.description.endswith(".") and kind.category in kind.category.__class__
    assert heroicons._load_icon("outline", kind.icon) is not None
    assert slug in PARTS, "tests/resources/factories.py needs a valid form of it"
    names = set(kind.form.base_fields)
    assert not names & set(ResourceForm.base_fields), "fields that every resource has"
    assert set(kind.form.rare) <= names
    for name, field in kind.form.base_fields.items():
        assert field.label, name
    assert not any(kind.form.base_fields[name].required for name in kind.form.rare), (
        "folded away and required"
    )


@pytest.mark.parametrize("slug", KINDS)
def test_a_valid_form_says_where_and_keeps_secrets_apart(slug):
    kind = KINDS[slug]
    form = kind.form(PARTS[slug])
    assert form.is_valid(), form.errors
    target = form.target()
    assert target.hostname and 1 <= target.port <= 65535
    assert set(form.secrets()) == set(kind.secret_fields)
    for secret in form.secrets().values():
        assert secret not in repr(target)


@pytest.mark.parametrize("slug", KINDS)
def test_a_form_never_shows_the_secrets_that_it_was_given(slug):
    kind = KINDS[slug]
    form = kind.form({**PARTS[slug], "port": "none", "url": "none"})
    assert not form.is_valid()
    html = form.as_p()
    for name in kind.secret_fields:
        assert PARTS[slug][name].strip() not in html and PARTS[slug][name].splitlines()[0] not in html


@pytest.mark.parametrize("slug", KINDS)
def test_an_empty_form_asks_for_what_is_required_and_no_more(slug):
    form = KINDS[slug].form({})
    assert not form.is_valid()
    assert set(form.errors) == {name for name, field in form.fields.items() if field.required}


@pytest.mark.parametrize(
    "value", ["\0", "x\0y", "😀", "‮evil", "<script>", "'\"; --", "x" * 100_000, "-1", "1e9", " "]
)
@pytest.mark.parametrize("slug", KINDS)
def test_hostile_values_are_refused_or_kept_as_text(slug, value):
    form = KINDS[slug].form(dict.fromkeys(KINDS[slug].form.base_fields, value))
    if form.is_valid():
        form.target()


def test_with_tls_off_there_is_nothing_to_verify():
    form = KINDS["redis"].form({**PARTS["redis"], "tls_insecure": "on"})
    assert not form.is_valid()
    assert "no certificate to check" in form.errors["tls_insecure"][0]


def test_certificates_are_verified_by_default():
    for slug in ("postgres", "mysql", "httpBasicAuth", "redis"):
        form = KINDS[slug].form(PARTS[slug])
        assert form.is_valid()
        assert form.target().config["tls_insecure"] is False
    assert KINDS["postgres"].form.base_fields["tls_required"].initial is True


# --- Private keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("pem", [True, False])
def test_a_private_key_is_taken_in_both_formats_and_with_any_line_ends(pem):
    text = private_key(pem=pem)
    assert check_private_key("\n  " + text.replace("\n", "\r\n")) == text


# Made by ssh-keygen with the passphrase "secret", for nobody's server.
PROTECTED = """\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABBRi2dDYS
iaYpoJAGiU1NV0AAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAILWk0N1Y/o2Kuzg4
A8/x9MRF5gfSj0ltXpHQPaJy6yEdAAAAkHHtQCeoh0jNmlrE5Gl97Dnqv8XBMqUfKQVKGj
uq/09XKWjEUlDNTmkX87EvIRDZTyPwHLzoym4J7ZNhUyTywjgS4A/bP7CS2ac/510mW9UJ
n+2PErF0KeO7GpMZU+EC5X1IWW7PLvjbr9N3YVZX/orrO9VEUEEw3sInNOonTCqufBo8d6
cinFoRIHB6Xpy6FA==
-----END OPENSSH PRIVATE KEY-----
"""


@pytest.mark.parametrize("text", [PROTECTED, private_key(passphrase=b"x", pem=True)])
def test_a_key_with_a_passphrase_is_refused_with_what_to_do(text):
    with pytest.raises(ValidationError, match="passphrase"):
        check_private_key(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ssh-ed25519 AAAAC3Nza root@host", "public half"),
        ("PuTTY-User-Key-File-3: ssh-ed25519", "puttygen"),
        ("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----", "certificate"),
        ("hunter2", "whole file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----", "whole file"),
        ("-----BEGIN PRIVATE KEY-----\nhunter2", "whole file"),
    ],
)
def test_what_is_no_private_key_is_explained_without_repeating_it(text, message):
    with pytest.raises(ValidationError, match=message) as caught:
        check_private_key(text)
    assert "hunter2" not in str(caught.value) and "AAAAC3" not in str(caught.value)


def test_every_truncation_of_a_key_is_refused():
    text = private_key()
    for length in range(0, len(text) - 2, 7):
        with pytest.raises(ValidationError):
            check_private_key(text[:length])


def test_dsa_keys_are_refused():
    text = dsa.generate_private_key(2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValidationError, match="DSA"):
        check_private_key(text.decode())


# --- Certificates ------------------------------------------------------------------------------


def certificate(days: int) -> str:
    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=400))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, None)
    )
    return built.public_bytes(serialization.Encoding.PEM).decode()


def test_a_chain_of_certificates_is_taken():
    chain = certificate(10) + certificate(20)
    assert check_certificates(chain) == chain


def test_certificates_that_cannot_serve_are_refused():
    for text, message in (
        (certificate(-1), "expired on"),
        ("nothing", "no certificate in PEM"),
        (certificate(10) + private_key(), "private key"),
    ):
        with pytest.raises(ValidationError, match=message):
            check_certificates(text)


# --- Websites ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url", "host", "port"),
    [
        ("https://Wiki.Internal", "https://wiki.internal", "wiki.internal", 443),
        ("https://wiki.internal/", "https://wiki.internal", "wiki.internal", 443),
        ("http://wiki.internal:80", "http://wiki.internal", "wiki.internal", 80),
        ("https://wiki.internal:8443", "https://wiki.internal:8443", "wiki.internal", 8443),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443", "[2001:db8::1]", 8443),
        ("https://[::1]", "https://[::1]", "[::1]", 443),
        ("HTTPS://10.0.0.5:443", "https://10.0.0.5", "10.0.0.5", 443),
    ],
)
def test_a_url_is_kept_in_one_spelling(text, url, host, port):
    assert http_cleaning.url(text) == url
    assert http_cleaning.host_and_port(url) == (host, port)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wiki.internal", "Did you mean https://wiki.internal"),
        ("ftp://wiki.internal", "begins with https"),
        ("javascript://wiki.internal/%0aalert(1)", "begins with https"),
        ("https://user:pw@wiki.internal", "Credentials"),
        ("https://@wiki.internal", "Credentials"),
        ("https://wiki.internal/start", "Default path"),
        ("https://wiki.internal?x=1", "Default path"),
        ("https://wiki.internal:0", "1 to 65535"),
        ("https://wiki.internal:99999", "not valid"),
        ("https://wiki.internal:x", "not valid"),
        ("https://[::1", "not valid"),
        ("https://", "host is missing"),
        ("https://wiki internal", "no spaces"),
        ("https://wiki\nHost: evil", "no spaces"),
        ("https://169.254.169.254", "Link-local"),
        ("https://[fe80::1]", "Link-local"),
        ("https://2852039166", "four numbers"),
    ],
)
def test_a_url_that_cannot_be_is_explained(text, message):
    with pytest.raises(ValueError, match=message):
        http_cleaning.url(text)


def test_headers_are_kept_one_a_line():
    assert http_cleaning.headers(" X-A :  1 \r\n\r\nX-B:2") == "X-A: 1\nX-B: 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X-A", "no header"),
        ("X A: 1", "no header"),
        (": 1", "no header"),
        ("X-A: é", "no header"),
        ("Authorization: Bearer x", "not kept secret"),
        ("cookie: a=b", "not kept secret"),
        ("Host: evil", "set by the worker"),
        ("Transfer-Encoding: chunked", "set by the worker"),
    ],
)
def test_headers_that_would_do_harm_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        http_cleaning.headers(text)


@pytest.mark.parametrize(
    "value", ["Bearer x\r\nX-Evil: 1", "Bearer x\nX", " Bearer x", "Bearer é", "Bearer \x07"]
)
def test_an_authorization_header_is_one_line(value):
    form = KINDS["httpAuth"].form({**PARTS["httpAuth"], "auth_header": value})
    assert not form.is_valid()
    assert "one line" in form.errors["auth_header"][0]
