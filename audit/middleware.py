"""Notes where each request comes from, and records each refusal, once, whatever raised it."""

import ipaddress
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from audit.context import Source, acting_from
from audit.models import Activity
from audit.services import PermissionRequired, record
from audit.verbs import Verb


class AuditMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with acting_from(Source(client_address(request), request.headers.get("User-Agent", ""))):
            return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        # The change that was refused has been rolled back by now; its refusal is a record of its own.
        if isinstance(exception, PermissionDenied) and request.user.is_authenticated:
            permission = exception.permission if isinstance(exception, PermissionRequired) else ""
            record(
                actor=request.user,
                verb=Verb.PERMISSION_DENIED,
                after={"permission": permission, "method": request.method, "path": request.path[:500]},
                outcome=Activity.Outcome.DENIED,
            )


def client_address(request: HttpRequest) -> str | None:
    """The peer's IP address: as many `X-Forwarded-For` entries from the right are believed as there are
    trusted proxies, and none without them."""
    address = request.META.get("REMOTE_ADDR", "")
    count = settings.ALLAUTH_TRUSTED_PROXY_COUNT
    if count:
        forwarded = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
        if len(forwarded) >= count:
            address = forwarded[-count]
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return None
