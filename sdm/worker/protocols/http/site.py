"""How a target is spoken to, by the fields of its kind's form."""

from sdm.contract import cookies
from sdm.wire.http import rewriting
from sdm.wire.http.heads import Field
from sdm.wire.http.rewriting import Site
from sdm.worker.sessions.lease import Target

_OWN_COOKIES = frozenset(name.encode() for name in cookies.NAMES)


def site_of(target: Target) -> Site:
    origin = target.text("url").encode()
    host = target.text("host_override").encode() or origin.partition(b"://")[2]
    added = [_field(line) for line in target.text("custom_headers").splitlines() if line]
    if target.kind == "httpBasicAuth":
        added.append(rewriting.basic(target.username, target.secret("password") or ""))
    elif target.kind == "httpAuth":
        added.append((b"authorization", (target.secret("auth_header") or "").encode()))
    return Site(origin, host, tuple(added), _OWN_COOKIES)


def _field(line: str) -> Field:
    name, _, value = line.partition(":")
    return name.strip().lower().encode(), value.strip().encode()
