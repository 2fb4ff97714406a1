"""Notes where each request comes from, and records each refusal, once, whatever raised it."""

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from audit.context import Source, acting_from
from audit.refusals import record_refusal
from audit.services import PermissionRequired
from audit.verbs import Verb


class AuditMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with acting_from(Source(client_address(request), request.headers.get("User-Agent", ""))):
            return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        # The change that was refused has been rolled back by now; its refusal is a record of its own.
        if isinstance(exception, PermissionRequired):
            record_refusal(request, Verb.PERMISSION_DENIED, permission=exception.permission)
        elif isinstance(exception, PermissionDenied):
            record_refusal(request, Verb.PERMISSION_DENIED, reason=str(exception))


def client_address(request: HttpRequest) -> str | None:
    """The peer's IP address: as many `X-Forwarded-For` entries from the right are believed as there are
    trusted proxies, and none without them."""
    address = request.META.get("REMOTE_ADDR", "")
    count = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    if count:
        forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
        if len(forwarded) >= count:
            address = forwarded[-count]
    return _canonical(address)


def _canonical(text: str) -> str | None:
    try:
        # An interface name, as in `fe80::1%eth0`, means nothing elsewhere, and PostgreSQL refuses it.
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    # A socket that takes both families shows IPv4 peers as `::ffff:10.0.0.1`.
    return str(getattr(address, "ipv4_mapped", None) or address)
