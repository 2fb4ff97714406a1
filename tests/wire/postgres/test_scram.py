"""SCRAM: the RFC's own example, a cache that spares PBKDF2, and servers that cheat."""

import base64
import datetime
import hashlib
import hmac

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from sdm.wire.postgres import scram
from sdm.wire.postgres.scram import BOUND, MAX_ITERATIONS, PLAIN, Exchange, KeyCache, ScramError, derive
from tests.wire.postgres.server import ScramServer


def test_the_example_of_rfc_7677():
    keys = derive("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    signed = (
        b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    )
    signature = hmac.digest(hashlib.sha256(keys.client).digest(), signed, "sha256")
    proof = bytes(a ^ b for a, b in zip(keys.client, signature, strict=True))
    assert base64.b64encode(proof) == b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    verifier = hmac.digest(keys.server, signed, "sha256")
    assert base64.b64encode(verifier) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("binding", [None, b"digest of a certificate"])
@pytest.mark.parametrize("password", ["pencil", "p\u00e4ss\u00ad wo\u2003rd\ufb01", "\u0007bell", "a\ud800b"])
def test_who_knows_the_password_is_let_in_and_the_server_proves_itself(password: str, binding: bytes | None):
    server = ScramServer(password, binding=binding)
    exchange = Exchange(password, KeyCache(), binding=binding)
    assert exchange.choose(server.mechanisms) == (BOUND if binding else PLAIN)
    exchange.verify(server.final(exchange.final(server.challenge(exchange.first()))))


def test_when_the_server_cannot_bind_it_is_told_that_we_could():
    exchange = Exchange("x", KeyCache(), binding=b"digest")
    assert exchange.choose([PLAIN]) == PLAIN
    assert exchange.first().startswith(b"y,,")
    server = ScramServer("x")
    exchange.verify(server.final(exchange.final(server.challenge(exchange.first()))))


def test_without_a_mechanism_that_we_know_it_ends():
    with pytest.raises(ScramError, match="OAUTHBEARER"):
        Exchange("x", KeyCache()).choose(["OAUTHBEARER"])


def test_pbkdf2_is_done_once_for_a_password_salt_and_count(monkeypatch):
    done: list[tuple[str, bytes, int]] = []

    def counted(password: str, salt: bytes, iterations: int) -> scram.Keys:
        done.append((password, salt, iterations))
        return derive(password, salt, iterations)

    monkeypatch.setattr(scram, "derive", counted)
    cache = KeyCache(size=4)
    wanted = [("a", b"salt", 1), ("b", b"salt", 1), ("a", b"pepper", 1), ("a", b"salt", 2)]
    for _ in range(3):
        for password, salt, iterations in wanted:
            assert cache.get(password, salt, iterations) == derive(password, salt, iterations)
    assert done == wanted


def test_the_cache_keeps_those_used_last():
    cache = KeyCache(size=2)
    for number in range(10):
        cache.get("x", b"%d" % number, 1)
        assert len(cache) <= 2


def challenged(challenge: str) -> bytes:
    exchange = Exchange("x", KeyCache())
    nonce = exchange.first().decode().partition("r=")[2]
    return exchange.final(challenge.replace("NONCE", nonce).encode("latin-1"))


CHEATS = {
    "another nonce": "r=other,s=c2FsdA==,i=1",
    "only our nonce": "r=NONCE,s=c2FsdA==,i=1",
    "our nonce at the end": "r=xNONCE,s=c2FsdA==,i=1",
    "another order": "s=c2FsdA==,r=NONCEx,i=1",
    "an extension that must be known": "m=x,r=NONCEx,s=c2FsdA==,i=1",
    "no count": "r=NONCEx,s=c2FsdA==",
    "count 0": "r=NONCEx,s=c2FsdA==,i=0",
    "count -1": "r=NONCEx,s=c2FsdA==,i=-1",
    "a count in other digits": "r=NONCEx,s=c2FsdA==,i=\xb2",
    "too many iterations": f"r=NONCEx,s=c2FsdA==,i={MAX_ITERATIONS + 1}",
    "far too many iterations": "r=NONCEx,s=c2FsdA==,i=" + "9" * 5000,
    "a salt that is not base64": "r=NONCEx,s=%%%,i=1",
    "an endless salt": f"r=NONCEx,s={'A' * 20_000},i=1",
    "an error": "e=other-error",
    "nothing": "",
}


@pytest.mark.parametrize("challenge", CHEATS.values(), ids=CHEATS)
def test_a_challenge_that_is_none_is_refused(challenge: str, monkeypatch):
    monkeypatch.setattr(scram, "derive", lambda *_: pytest.fail("calculated for a cheat"))
    with pytest.raises(ScramError):
        challenged(challenge)


@given(st.text(max_size=100))
def test_nonsense_is_refused(text: str):
    with pytest.raises(ScramError):
        Exchange("x", KeyCache()).final(text.encode(errors="replace"))


@pytest.mark.parametrize("signature", [b"v=", b"v=AAAA", b"v=%", b"e=invalid-proof", b"", b"\xff", b"AAAA"])
def test_a_server_that_does_not_know_the_password_is_found_out(signature: bytes):
    exchange = Exchange("x", KeyCache())
    server = ScramServer("x")
    exchange.final(server.challenge(exchange.first()))
    with pytest.raises(ScramError):
        exchange.verify(signature)


def test_nothing_is_proved_before_the_challenge():
    with pytest.raises(ScramError):
        Exchange("x", KeyCache()).verify(b"v=")


PREPARED = {
    # The examples of RFC 4013, 3.
    "I\u00adX": b"IX",
    "user": b"user",
    "USER": b"USER",
    "\u00aa": b"a",
    "\u2168": b"IX",
    # Prohibited, and mixed directions: taken as they are.
    "\u0007": b"\x07",
    "\u06271": "\u06271".encode(),
    "\u0627a\u0628": "\u0627a\u0628".encode(),
    "\u06271\u0628": "\u06271\u0628".encode(),
    "": b"",
    "\u00ad": "\u00ad".encode(),
    "\u00a0": b" ",
}


@pytest.mark.parametrize(("password", "prepared"), PREPARED.items())
def test_passwords_are_prepared_as_postgresql_does(password: str, prepared: bytes):
    assert scram.prepare(password) == prepared


def certificate(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, algorithm) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "db")])
    begin = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin.replace(year=2026))
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


@pytest.mark.parametrize(("algorithm", "name"), [(hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384")])
def test_a_certificate_is_bound_to_by_the_hash_of_its_signature(algorithm, name: str):
    der = certificate(ec.generate_private_key(ec.SECP256R1()), algorithm)
    assert scram.end_point(der) == hashlib.new(name, der).digest()


def test_a_certificate_whose_signature_has_no_hash_cannot_be_bound_to():
    assert scram.end_point(certificate(ed25519.Ed25519PrivateKey.generate(), None)) is None


def test_secrets_are_not_in_representations():
    keys = derive("pencil", b"salt", 1)
    assert repr(keys) == "Keys()"
