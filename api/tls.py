"""The certificate that the API shows, read again when its files change."""

from pathlib import Path

import grpc


class Files:
    """A certificate chain and its key in PEM."""

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


def credentials(files: Files) -> grpc.ServerCredentials:
    # None is allowed and means no change; the published types do not say so.
    return grpc.dynamic_ssl_server_credentials(files.read(), files.read_if_changed)  # type: ignore[arg-type]
