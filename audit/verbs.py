"""What can happen, in words: every verb the services record, and how it reads in a sentence.

The vocabulary is closed, so that a filter can offer all of it and a typing error cannot hide an act. Verbs of
proxy clusters and their keys are spelled as in the compatible system.
"""

from enum import StrEnum

from django.db import models


class EntityType(models.TextChoices):
    """What an activity is about. The console itself is where no other is meant."""

    PROXY_CLUSTER = "proxy_cluster", "Proxy clusters"
    PROXY_CLUSTER_KEY = "proxy_cluster_key", "Proxy cluster keys"
    RESOURCE = "resource", "Resources"
    CERTIFICATE_AUTHORITY = "certificate_authority", "Certificate authorities"
    ACCOUNT = "account", "People"
    ROLE = "role", "Roles"
    ACCOUNT_ATTACHMENT = "account_attachment", "Members of roles"
    ACCOUNT_GRANT = "account_grant", "Temporary access"
    SESSION = "session", "Sessions"
    CONSOLE = "console", "Console"


_CLUSTER = EntityType.PROXY_CLUSTER
_KEY = EntityType.PROXY_CLUSTER_KEY
_RESOURCE = EntityType.RESOURCE
_AUTHORITY = EntityType.CERTIFICATE_AUTHORITY
_ACCOUNT = EntityType.ACCOUNT
_ROLE = EntityType.ROLE
_ATTACHMENT = EntityType.ACCOUNT_ATTACHMENT
_GRANT = EntityType.ACCOUNT_GRANT
_SESSION = EntityType.SESSION
_CONSOLE = EntityType.CONSOLE

_BY_ITSELF = "The console"


class Verb(StrEnum):
    """`Verb.CLUSTER_CREATED` is the string "proxy cluster created".

    `phrase` follows the actor's name; `{entity}` in it stands for the name of what was acted on. `by` is what
    does it where no person does; empty where that would be a stranger, or a command.
    """

    entity_type: EntityType
    phrase: str
    by: str

    def __new__(
        cls, value: str, entity_type: EntityType = EntityType.CONSOLE, phrase: str = "", by: str = ""
    ) -> "Verb":
        verb = str.__new__(cls, value)
        verb._value_ = value
        verb.entity_type = entity_type
        verb.phrase = phrase
        verb.by = by
        return verb

    CLUSTER_CREATED = "proxy cluster created", _CLUSTER, "created proxy cluster {entity}"
    CLUSTER_UPDATED = "proxy cluster updated", _CLUSTER, "changed proxy cluster {entity}"
    CLUSTER_TAGS_UPDATED = (
        "proxy cluster tags updated",
        _CLUSTER,
        "changed the tags of proxy cluster {entity}",
    )
    CLUSTER_WINDOWS_UPDATED = (
        "proxy cluster maintenance windows updated",
        _CLUSTER,
        "changed the maintenance windows of proxy cluster {entity}",
    )
    CLUSTER_DELETED = "proxy cluster deleted", _CLUSTER, "deleted proxy cluster {entity}"

    WORKER_JOINED = "proxy worker joined", _CLUSTER, "joined proxy cluster {entity}", "A worker"
    WORKER_REFUSED = (
        "proxy worker refused",
        _KEY,
        "refused a worker that came with key {entity}",
        _BY_ITSELF,
    )
    WORKER_DISCONNECTED = (
        "proxy worker disconnected",
        _CLUSTER,
        "disconnected a worker of proxy cluster {entity}",
    )
    WORKER_FORGOTTEN = (
        "proxy worker forgotten",
        _CLUSTER,
        "forgot a dead worker of proxy cluster {entity}",
    )

    WORKER_RESTART_REQUESTED = (
        "proxy worker restart requested",
        _CLUSTER,
        "asked a worker of proxy cluster {entity} to restart",
    )
    WORKER_RESTART_WITHDRAWN = (
        "proxy worker restart withdrawn",
        _CLUSTER,
        "withdrew the restart of a worker of proxy cluster {entity}",
    )

    KEY_CREATED = "proxy cluster key created", _KEY, "created proxy cluster key {entity}"
    KEY_DELETED = "proxy cluster key deleted", _KEY, "deleted proxy cluster key {entity}"

    RESOURCE_CREATED = "resource created", _RESOURCE, "created resource {entity}"
    RESOURCE_UPDATED = "resource updated", _RESOURCE, "changed resource {entity}"
    RESOURCE_DELETED = "resource deleted", _RESOURCE, "deleted resource {entity}"
    RESOURCE_ATTACHED = "resource attached", _RESOURCE, "attached resource {entity} to a proxy cluster"
    RESOURCE_DETACHED = "resource detached", _RESOURCE, "detached resource {entity} from its proxy cluster"
    CREDENTIAL_REPLACED = (
        "resource credential replaced",
        _RESOURCE,
        "replaced a credential of resource {entity}",
    )

    ROLE_CREATED = "role created", _ROLE, "created role {entity}"
    ROLE_UPDATED = "role updated", _ROLE, "changed role {entity}"
    ROLE_DELETED = "role deleted", _ROLE, "deleted role {entity}"
    RULE_ADDED = "access rule added", _ROLE, "added a rule to role {entity}"
    RULE_CHANGED = "access rule changed", _ROLE, "changed a rule of role {entity}"
    RULE_REMOVED = "access rule removed", _ROLE, "removed a rule from role {entity}"
    ROLE_ATTACHED = "account attachment created", _ATTACHMENT, "gave the role of {entity}"
    ROLE_DETACHED = "account attachment deleted", _ATTACHMENT, "took the role of {entity}"
    GRANT_CREATED = "account grant created", _GRANT, "gave temporary access: {entity}"
    GRANT_ENDED = "account grant ended", _GRANT, "ended temporary access: {entity}"
    ACCESS_REFUSED = "access refused", _RESOURCE, "was refused resource {entity}"

    AUTHORITY_CREATED = (
        "certificate authority created",
        _AUTHORITY,
        "made certificate authority {entity}",
        _BY_ITSELF,
    )
    ROTATION_BEGUN = (
        "certificate authority rotation begun",
        _AUTHORITY,
        "began a rotation with certificate authority {entity}",
    )
    ROTATION_SWITCHED = (
        "certificate authority rotation switched",
        _AUTHORITY,
        "let certificate authority {entity} sign",
    )
    ROTATION_FINISHED = (
        "certificate authority rotation finished",
        _AUTHORITY,
        "retired certificate authority {entity}",
    )
    TICKET_KEY_CREATED = "ticket key created", _AUTHORITY, "made ticket key {entity}", _BY_ITSELF
    CERTIFICATES_REVOKED = (
        "certificates revoked",
        _AUTHORITY,
        "revoked the certificates of {entity}",
        _BY_ITSELF,
    )

    # The first administrator at set-up, and whoever accepts an invitation.
    ACCOUNT_CREATED = "account created", _ACCOUNT, "created their account"
    ACCOUNT_INVITED = "account invited", _ACCOUNT, "invited {entity}"
    INVITATION_WITHDRAWN = "invitation withdrawn", _ACCOUNT, "withdrew the invitation of {entity}"
    LEVEL_CHANGED = "account level changed", _ACCOUNT, "changed the level of {entity}"
    ACCOUNT_RENAMED = "account renamed", _ACCOUNT, "changed the name of {entity}"
    ACCOUNT_SUSPENDED = "account suspended", _ACCOUNT, "suspended {entity}"
    ACCOUNT_REINSTATED = "account reinstated", _ACCOUNT, "reinstated {entity}"
    PASSWORD_CHANGED = "password changed", _ACCOUNT, "changed the password of {entity}"
    PASSWORD_LINK_MADE = "password link made", _ACCOUNT, "made a link to set the password of {entity}"
    FACTOR_ADDED = "second factor added", _ACCOUNT, "added a second factor to {entity}"
    FACTOR_REMOVED = "second factor removed", _ACCOUNT, "removed a second factor from {entity}"
    RECOVERY_CODES_MADE = "recovery codes made", _ACCOUNT, "made recovery codes for {entity}"
    SESSIONS_ENDED = "sessions ended", _ACCOUNT, "ended the sessions of {entity}"
    SIGNED_IN = "signed in", _ACCOUNT, "signed in"
    SIGN_IN_FAILED = "sign-in failed", _ACCOUNT, "failed to sign in as {entity}"
    # Of somebody who is signed in, and was asked for a proof.
    CONFIRMATION_FAILED = "confirmation failed", _ACCOUNT, "failed to confirm who they are"
    SIGNED_OUT = "signed out", _ACCOUNT, "signed out"

    # `sdm` on a machine of theirs.
    LOGIN_APPROVED = "client login approved", _ACCOUNT, "approved the login of a machine for {entity}"
    LOGIN_DENIED = "client login denied", _ACCOUNT, "denied the login of machine {entity}"
    LOGIN_FAILED = "client login failed", _ACCOUNT, "failed to log in with a token from {entity}"
    LOGGED_IN = "client logged in", _ACCOUNT, "logged in with the token of {entity}"
    LOGGED_OUT = "client logged out", _ACCOUNT, "logged out a machine of {entity}"
    SERVICE_ACCOUNT_CREATED = "service account created", _ACCOUNT, "created service account {entity}"
    SERVICE_TOKEN_REPLACED = (
        "service account token replaced",
        _ACCOUNT,
        "replaced the token of service account {entity}",
    )

    SESSION_CUT = "session cut", _SESSION, "ended the session of {entity}"

    SEALING_KEY_CREATED = "sealing key created", _CONSOLE, "made sealing key {entity}"
    SECRETS_RESEALED = "secrets resealed", _CONSOLE, "sealed the stored credentials anew"
    SEALING_KEYS_REMOVED = (
        "sealing keys removed",
        _CONSOLE,
        "removed sealing keys that sealed nothing any more",
    )
    ACTIVITIES_EXPORTED = "activities exported", _CONSOLE, "exported activities"
    SESSIONS_EXPORTED = "session log exported", _CONSOLE, "exported sessions"
    QUERIES_EXPORTED = "queries exported", _CONSOLE, "exported queries"
    PERMISSION_DENIED = "permission denied", _CONSOLE, "was refused {entity}"
    REQUEST_REFUSED = "request refused", _CONSOLE, "was refused {entity} from outside this console"
