"""Contexts: which pairs are taken, and that nobody's certificate is judged in the handshake."""

import datetime as dt
import re
import ssl
from pathlib import Path

import pytest

from sdm.pki.names import Kind
from sdm.worker import tls
from sdm.worker.certificate_files import CertificateFiles
from tests.worker.control_plane import Authority, client_context, host_pair


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, session=session)
    done: set[ssl.SSLObject] = set()
    for _ in range(5):
        for side in (theirs, ours):
            if side in done:
                continue
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert done == {ours, theirs}
    ours.write(b"x")
    assert theirs.read() == b"x"  # and a ticket before it, if there was one
    return ours, theirs


def context(directory: Path, *, ask: bool = True) -> ssl.SSLContext:
    cert, key = host_pair(directory)
    return tls.server_context(
        cert.read_bytes(), key.read_bytes(), ticket_keys=tls.new_ticket_keys(), ask_for_certificate=ask
    )


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", [None, Kind.CLIENT, Kind.WORKER])
def test_any_certificate_is_taken_and_can_be_looked_at(
    version: ssl.TLSVersion, kind: Kind | None, tmp_path: Path
):
    client = client_context(version=version)
    if kind is not None:
        authority = Authority(kind)
        client.load_cert_chain(
            *(authority.client(tmp_path) if kind is Kind.CLIENT else authority.host(tmp_path, "c"))
        )
    ours, _ = shake_hands(context(tmp_path), client)
    assert (ours.getpeercert(binary_form=True) is not None) == (kind is not None)
    assert ours.version() == version.name.replace("_", ".")


def test_nobody_is_asked_when_nobody_should_be(tmp_path: Path):
    client = client_context()
    client.load_cert_chain(*Authority(Kind.CLIENT).client(tmp_path))
    ours, _ = shake_hands(context(tmp_path, ask=False), client)
    assert ours.getpeercert(binary_form=True) is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_context_that_replaced_another_resumes_its_sessions(version: ssl.TLSVersion, tmp_path: Path):
    cert, key = host_pair(tmp_path)
    tickets = tls.new_ticket_keys()
    one, two, stranger = (
        tls.server_context(cert.read_bytes(), key.read_bytes(), ticket_keys=keys, ask_for_certificate=True)
        for keys in (tickets, tickets, tls.new_ticket_keys())
    )
    client = client_context(version=version)
    _, theirs = shake_hands(one, client)
    for server, resumed in ((two, True), (stranger, False)):
        _, again = shake_hands(server, client, theirs.session)
        assert again.session_reused is resumed
        # What a stranger cannot resume it replaces.
        assert (again.session == theirs.session) is resumed


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_can_be_resumed_again_and_again_but_is_not_renewed(version: ssl.TLSVersion, tmp_path: Path):
    server, client = context(tmp_path), client_context(version=version)
    client.load_cert_chain(*Authority(Kind.CLIENT).client(tmp_path))
    _, first = shake_hands(server, client)
    for _ in range(3):
        ours, again = shake_hands(server, client, first.session)
        assert again.session_reused
        assert again.session == first.session
        assert ours.getpeercert(binary_form=True) is not None


def test_a_pair_that_does_not_fit_is_named(tmp_path: Path):
    cert, _ = host_pair(tmp_path)
    _, key = host_pair(tmp_path, "other")
    with pytest.raises(tls.BadPair, match="the key is not the certificate's"):
        tls.check_pair(cert.read_bytes(), key.read_bytes())
    for chain in (b"", b"garbage", cert.read_bytes()[:300]):
        with pytest.raises(tls.BadPair):
            tls.check_pair(chain, key.read_bytes())


def test_an_encrypted_key_asks_nobody(tmp_path: Path):
    cert, _ = host_pair(tmp_path)
    encrypted = (
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        b"MIHjME4GCSqGSIb3DQEFDTBBMCkGCSqGSIb3DQEFDDAcBAg=\n"
        b"-----END ENCRYPTED PRIVATE KEY-----\n"
    )
    with pytest.raises(tls.BadPair):
        tls.check_pair(cert.read_bytes(), encrypted)


@pytest.mark.parametrize(
    ("spoil", "setting", "words"),
    [
        ("swapped", "SDM_TLS_CERT_FILE", "holds a key. Exchange it with SDM_TLS_KEY_FILE."),
        ("key twice", "SDM_TLS_KEY_FILE", "holds a certificate. Exchange it with SDM_TLS_CERT_FILE."),
        ("empty certificate", "SDM_TLS_CERT_FILE", "is empty."),
        ("empty key", "SDM_TLS_KEY_FILE", "is empty."),
        ("no PEM", "SDM_TLS_CERT_FILE", "is not a certificate in PEM."),
        ("encrypted", "SDM_TLS_KEY_FILE", "is an encrypted key. Give it without a password."),
        ("expired", "SDM_TLS_CERT_FILE", " UTC."),
        ("not yet", "SDM_TLS_CERT_FILE", " UTC."),
    ],
)
def test_what_is_wrong_with_a_file_is_said_of_that_file(spoil: str, setting: str, words: str, tmp_path: Path):
    years = {"expired": -1, "not yet": 0.01}.get(spoil, 0)
    cert, key = host_pair(tmp_path, at=dt.datetime.now(dt.UTC) + dt.timedelta(days=365 * years))
    match spoil:
        case "swapped":
            cert, key = key, cert
        case "key twice":
            key.write_bytes(cert.read_bytes())
        case "empty certificate":
            cert.write_bytes(b"\n")
        case "empty key":
            key.write_bytes(b"")
        case "no PEM":
            cert.write_bytes(b"\x30\x82garbage")
        case "encrypted":
            key.write_bytes(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n")
    with pytest.raises(tls.BadPair, match=re.escape(words)) as caught:
        CertificateFiles(cert, key).load()
    assert str(caught.value).startswith(f"{setting}: ")
    assert str(cert if setting == "SDM_TLS_CERT_FILE" else key) in str(caught.value)
