"""Resources as tests need them, made without the rules of services, and what their forms are filled in with."""

import itertools
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import sealing
from accounts.models import Account
from audit.models import Activity
from clusters.models import Cluster
from resources.models import Credential, Resource

_numbers = itertools.count(1)


def make_resource(
    actor: Account,
    name: str = "",
    *,
    cluster: Cluster | None = None,
    tags: dict[str, str] | None = None,
    **fields: Any,
) -> Resource:
    name = name or f"resource-{next(_numbers)}"
    values = {"kind": "postgres", "hostname": "db.internal", "port": 5432, "username": "app", "config": {}}
    resource = Resource.objects.create(
        name=name, name_folded=name.casefold(), cluster=cluster, created_by=actor, **{**values, **fields}
    )
    for key, value in (tags or {}).items():
        resource.tags.create(key=key, value=value)
    return resource


def store_secret(resource: Resource, secret: str, field: str = "password") -> Credential:
    credential = Credential(resource=resource, field=field, set_by=resource.created_by)
    credential.sealed = sealing.seal(secret.encode(), context=credential.context)
    credential.key_id = sealing.key_id(credential.sealed)
    credential.save()
    return credential


def stored_secret(resource: Resource, field: str = "password") -> str:
    """What a worker would be given."""
    credential = Credential.objects.get(resource=resource, field=field)
    return sealing.unseal(bytes(credential.sealed), context=credential.context).decode()


def recorded(verb: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the one activity with this verb says was before, and after."""
    activity = Activity.objects.get(verb=verb)
    return activity.before or {}, activity.after or {}


def private_key(*, passphrase: bytes | None = None, pem: bool = False) -> str:
    protection = (
        serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    )
    format = serialization.PrivateFormat.PKCS8 if pem else serialization.PrivateFormat.OpenSSH
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(serialization.Encoding.PEM, format, protection).decode()


# A valid form of each kind, beside name, cluster and tags.
PARTS: dict[str, dict[str, str]] = {
    "postgres": {
        "hostname": "db.internal",
        "port": "5432",
        "username": "app",
        "password": "pg-secret",
        "database": "orders",
        "override_database": "on",
        "tls_required": "on",
    },
    "mysql": {"hostname": "db.internal", "port": "3306", "username": "app", "password": "my-secret"},
    "redis": {"hostname": "cache.internal", "port": "6379", "password": "redis-secret"},
    "rawTCP": {"hostname": "10.0.0.7", "port": "9999"},
    "sshPassword": {"hostname": "10.0.0.8", "port": "22", "username": "root", "password": "ssh-secret"},
    "sshCustomerKey": {
        "hostname": "[2001:db8::8]",
        "port": "22",
        "username": "root",
        "private_key": private_key(),
    },
    "httpNoAuth": {"url": "https://wiki.internal"},
    "httpBasicAuth": {"url": "https://wiki.internal:8443", "username": "app", "password": "basic-secret"},
    "httpAuth": {"url": "http://127.0.0.1:9000", "auth_header": "Bearer header-secret"},
}


def sent(kind: str = "postgres", **changed: Any) -> dict[str, Any]:
    """A form as a browser sends it."""
    return {"name": "orders", "cluster": "", **PARTS[kind], **changed}
