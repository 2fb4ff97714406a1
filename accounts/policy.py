"""Who may do what. Deny is the default: a permission that is not named here is nobody's."""

from django.db import models


class Level(models.TextChoices):
    ADMIN = "admin", "Administrator"
    AUDITOR = "auditor", "Auditor"
    USER = "user", "User"


VIEW_PERMISSIONS = frozenset(
    {
        "access.view",
        "accounts.view",
        "audit.view",
        "authority.view",
        "clusters.view",
        "keys.view",
        "resources.view",
    }
)
CHANGE_PERMISSIONS = frozenset(
    {
        "access.change",
        "accounts.change",
        "audit.end_sessions",
        "authority.change",
        "clusters.change",
        "keys.change",
        "resources.change",
        "resources.replace_credentials",
    }
)

_ALLOWED: dict[str, frozenset[str]] = {
    Level.ADMIN: VIEW_PERMISSIONS | CHANGE_PERMISSIONS,
    Level.AUDITOR: VIEW_PERMISSIONS,
    Level.USER: frozenset(),
}


def allows(level: str, permission: str, *, active: bool) -> bool:
    return active and permission in _ALLOWED.get(level, frozenset())
