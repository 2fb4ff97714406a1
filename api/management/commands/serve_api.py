"""`manage.py serve_api`: answer workers until told to stop."""

import asyncio
import signal
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError

from api import tls
from api.serving import CannotListen, serving
from authority.services import AuthorityExpired
from sealing import SealingError


class Command(BaseCommand):
    help = "Serve the gRPC API that workers connect to."

    def handle(self, *args: Any, **options: Any) -> None:
        certificate = _certificate()
        try:
            asyncio.run(_serve(settings.API_LISTEN, certificate))
        except CannotListen as error:
            raise CommandError(str(error)) from error


def _certificate() -> tls.Files | tls.Own | None:
    if settings.API_OWN_CERTIFICATE:
        return _own()
    if not settings.API_TLS_CERT_FILE:
        return None
    try:
        return tls.Files(Path(settings.API_TLS_CERT_FILE), Path(settings.API_TLS_KEY_FILE))
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _own() -> tls.Own:
    own = tls.Own(settings.API_NAMES)
    try:
        own.renew_if_due()
    except (AuthorityExpired, SealingError) as error:
        raise CommandError(f"There is no certificate for the API: {error}") from error
    return own


async def _serve(listen: str, certificate: tls.Files | tls.Own | None) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serving(listen, certificate):
        await told.wait()
