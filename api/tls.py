"""The certificate that the API shows: an operator's files, or one of the console's own authority."""

import asyncio
import datetime as dt
import logging
import secrets
from collections.abc import Sequence
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.db import DatabaseError
from django.utils import timezone

from api.calls import Threads
from authority.models import Purpose
from authority.selectors import trusted
from authority.services import AuthorityExpired, issue_control
from sdm.pki import chain, csr, profiles
from sealing import SealingError

logger = logging.getLogger(__name__)

# A rotation takes days, and a certificate lives for one.
LOOK_EVERY = 30.0


class Files:
    """A certificate chain and its key in PEM, read again when they change."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._certificate = certificate
        self._key = key
        self._changed = self._when()

    def read(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration(
            [(self._key.read_bytes(), self._certificate.read_bytes())]
        )

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        """Asked at each handshake. None keeps what is there: also while the files are missing or half written."""
        try:
            changed = self._when()
            if changed == self._changed:
                return None
            configuration = self.read()
        except OSError:
            return None
        self._changed = changed
        return configuration

    def _when(self) -> tuple[int, int]:
        return self._certificate.stat().st_mtime_ns, self._key.stat().st_mtime_ns


class Own:
    """A certificate of the console's own authority, for `hosts`: in memory alone, and replaced before it ends."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = hosts
        self._signs: list[str] = []
        self._due = dt.datetime.min.replace(tzinfo=dt.UTC)
        self._pairs: list[tuple[bytes, bytes]] = []
        self._shown: list[tuple[bytes, bytes]] = []

    def renew_if_due(self) -> None:
        """A new one half-way through the life of the old, and at once when another authority signs."""
        if timezone.now() < self._due and self._signs == trusted(Purpose.CONTROL)[:1]:
            return
        key = csr.new_key()
        issued = issue_control(csr_pem=csr.new_csr(key), hosts=self._hosts)
        key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self._signs = trusted(Purpose.CONTROL)[:1]
        self._due = profiles.renew_at(chain.read(issued.certificate), chance=secrets.randbelow(100) / 100)
        self._pairs = [(key_pem, issued.chain.encode())]

    async def keep(self, threads: Threads) -> None:
        """Until cancelled. What goes wrong leaves half a day to be mended."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await threads.run(self.renew_if_due)
            except (DatabaseError, AuthorityExpired, SealingError) as error:
                logger.warning("The certificate of the API could not be renewed: %s", error)

    def read(self) -> grpc.ServerCertificateConfiguration:
        self._shown = self._pairs
        return grpc.ssl_server_certificate_configuration(self._pairs)

    def read_if_changed(self) -> grpc.ServerCertificateConfiguration | None:
        return None if self._shown is self._pairs else self.read()


def credentials(certificate: Files | Own) -> grpc.ServerCredentials:
    # None is allowed and means no change; the published types do not say so.
    return grpc.dynamic_ssl_server_credentials(certificate.read(), certificate.read_if_changed)  # type: ignore[arg-type]
