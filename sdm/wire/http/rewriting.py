"""What of a message goes on, and what is put in its place.

The site sees requests for itself, with the credentials that are stored for it and none of the person's. The person's
browser sees answers that keep it where it is: on its own machine's port.
"""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from sdm.wire.http.heads import Field, Fields, HttpError, RequestHead, ResponseHead

# RFC 9110, 7.6.1: they belong to one connection. Framing is written anew, behind these.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"content-length",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Who somebody is, the control plane decided; a client that says so itself is not listened to. Sites that stand behind
# another proxy believe these of whoever connects to them.
_CLAIMS = frozenset(
    {
        b"authorization",
        b"cf-connecting-ip",
        b"forwarded",
        b"host",
        b"remote-user",
        b"sdm-client-proof",
        b"true-client-ip",
        b"via",
        b"x-authenticated-user",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-url",
        b"x-real-ip",
        b"x-remote-user",
        b"x-rewrite-url",
        b"x-webauth-user",
    }
)
_KINDS_OF_CLAIMS = (
    b"cf-access-",
    b"x-amzn-oidc-",
    b"x-auth-request-",
    b"x-forwarded-",
    b"x-goog-authenticated-user-",
    b"x-goog-iap-",
    b"x-ms-client-principal",
)
# A browser's alone: HSTS would keep it from the port on which it is.
_NOT_FOR_THE_BROWSER = frozenset({b"strict-transport-security", b"public-key-pins", b"alt-svc"})
_LOCAL_NAME = re.compile(rb"(?:[^:\[\]]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")
# The browser is at a port without TLS; with these it would keep the cookie to itself.
_COOKIE_ATTRIBUTES = (b"domain", b"secure", b"samesite=none", b"partitioned")


@dataclass(frozen=True, slots=True)
class Site:
    """A website, as a worker speaks to it. `origin` is its scheme, host and port; `host` what it is called."""

    origin: bytes
    host: bytes
    # Put into each request, in place of what the client sent under these names.
    added: tuple[Field, ...] = field(default=(), repr=False)
    # Cookies of ours: the console may be on the same host, and a browser does not tell ports apart.
    own_cookies: frozenset[bytes] = frozenset()

    @property
    def known_as(self) -> bytes:
        """Its origin as the site itself knows it: by the Host that it is sent."""
        return self.origin.partition(b"://")[0] + b"://" + self.host


def basic(username: str, password: str) -> Field:
    return b"authorization", b"Basic " + b64encode(f"{username}:{password}".encode())


def check_request(head: RequestHead) -> None:
    """HttpError for what no browser or tool sends that a person uses here."""
    if head.method in (b"CONNECT", b"TRACE"):
        raise HttpError(405, "This method is not passed on.")
    hosts = head.fields.all(b"host")
    if len(hosts) != 1:
        raise HttpError(400, "A request has one Host.")
    if not _is_local(hosts[0]):
        # Another site's name that was made to point here (DNS rebinding).
        raise HttpError(421, "Use the address that sdm status shows: 127.0.0.1 or localhost with its port.")
    if _is_of_another_site(head, hosts[0]):
        # Any page in the browser could otherwise act here with the stored credentials.
        raise HttpError(403, "Another site asked for this. Open the page itself.")


def wants_websocket(head: RequestHead) -> bool:
    return b"upgrade" in head.fields.words(b"connection") and head.fields.words(b"upgrade") == {b"websocket"}


def request_fields(site: Site, head: RequestHead) -> list[Field]:
    """Without those that frame the body."""
    dropped = head.fields.words(b"connection") | {name for name, _ in site.added}
    here = head.fields.first(b"host") or b""
    fields = [(b"host", site.host), *site.added]
    fields.extend(_as_of(site, here, each) for each in head.fields.items if _goes_on(each[0], dropped))
    return [each for each in fields if each[1] or each[0] != b"cookie"]


def response_fields(site: Site, head: ResponseHead) -> list[Field]:
    """Without those that frame the body."""
    dropped = _HOP_BY_HOP | _NOT_FOR_THE_BROWSER | head.fields.words(b"connection")
    kept = (
        each for each in head.fields.items if each[0] not in dropped and not _is_cookie_of_ours(site, each)
    )
    return [_for_the_browser(site, each) for each in kept]


def upgrade_fields(fields: Fields) -> list[Field]:
    """Those of a WebSocket's handshake that belong to the connection (RFC 6455, 4)."""
    return [(b"connection", b"Upgrade"), (b"upgrade", fields.first(b"upgrade") or b"websocket")]


def _goes_on(name: bytes, dropped: Collection[bytes]) -> bool:
    """CGI and what came of it take `X_Forwarded_User` for `X-Forwarded-User`."""
    plain = name.replace(b"_", b"-")
    if plain in _HOP_BY_HOP or plain in _CLAIMS or plain.startswith(_KINDS_OF_CLAIMS):
        return False
    return name not in dropped and plain not in dropped


def _as_of(site: Site, here: bytes, each: Field) -> Field:
    """A field of a request, as if the browser were at the site itself."""
    name, value = each
    if name == b"cookie":
        return name, _without(value, site.own_cookies)
    if name in (b"origin", b"referer"):
        for scheme in (b"http://", b"https://"):
            local = scheme + here
            if value == local or value.startswith(local + b"/"):
                return name, site.known_as + value[len(local) :]
    return each


def _for_the_browser(site: Site, each: Field) -> Field:
    name, value = each
    if name == b"location":
        for origin in (site.origin, site.known_as):
            if value == origin:
                return name, b"/"
            if value.startswith((origin + b"/", origin + b"?")):
                return name, value[len(origin) :]
    if name == b"set-cookie":
        cookie, *attributes = value.split(b";")
        kept = [one for one in attributes if not one.strip().lower().startswith(_COOKIE_ATTRIBUTES)]
        return name, b";".join([cookie, *kept])
    return each


def _is_cookie_of_ours(site: Site, each: Field) -> bool:
    """A site that sets the console's cookie would sign somebody out there, or in as somebody else."""
    name, value = each
    return name == b"set-cookie" and value.partition(b"=")[0].strip() in site.own_cookies


def _without(cookies: bytes, names: Iterable[bytes]) -> bytes:
    each = (cookie.strip() for cookie in cookies.split(b";"))
    return b"; ".join(cookie for cookie in each if cookie.partition(b"=")[0].strip() not in names)


@lru_cache(maxsize=64)
def _is_local(host: bytes) -> bool:
    if not _LOCAL_NAME.fullmatch(host):
        return False
    name = re.sub(rb":[0-9]{1,5}\Z", b"", host).decode("latin-1").strip("[]").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_of_another_site(head: RequestHead, here: bytes) -> bool:
    """As the browser says. To it another local port, which is another resource, is the same site."""
    asked_by = head.fields.first(b"sec-fetch-site")
    if asked_by is not None:
        return asked_by not in (b"same-origin", b"none") and not _is_navigation(head)
    # An older browser; programs say nothing of the kind.
    origin = head.fields.first(b"origin")
    return origin is not None and origin.lower() not in (
        b"http://" + here.lower(),
        b"https://" + here.lower(),
    )


def _is_navigation(head: RequestHead) -> bool:
    """A person followed a link, and sees where they are: not in a frame of somebody's page."""
    return (
        head.method in (b"GET", b"HEAD")
        and head.fields.first(b"sec-fetch-mode") == b"navigate"
        and head.fields.first(b"sec-fetch-dest") in (None, b"document")
    )
