"""`manage.py serve_api`: answer workers until told to stop."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import grpc
from django.conf import settings
from django.core.management import BaseCommand, CommandError

from api import tls
from api.serving import CannotListen, serving


class Command(BaseCommand):
    help = "Serve the gRPC API that workers connect to."

    def handle(self, *args: Any, **options: Any) -> None:
        credentials = _credentials()
        try:
            asyncio.run(_serve(settings.API_LISTEN, credentials))
        except CannotListen as error:
            raise CommandError(str(error)) from error


def _credentials() -> grpc.ServerCredentials | None:
    if not settings.API_TLS_CERT_FILE:
        return None
    try:
        return tls.credentials(tls.Files(Path(settings.API_TLS_CERT_FILE), Path(settings.API_TLS_KEY_FILE)))
    except OSError as error:
        raise CommandError(f"{error.filename} cannot be read: {error.strerror}.") from error


async def _serve(listen: str, credentials: grpc.ServerCredentials | None) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with serving(listen, credentials):
        await told.wait()
