"""Why a session ended: one word each, in the log and in what the client is told.

A sentence for people goes with it, and says more than the one here where more is known.
"""

from enum import StrEnum


class Ending(StrEnum):
    """`Ending("client-left")` is the string "client-left"."""

    sentence: str

    def __new__(cls, value: str, sentence: str = "") -> "Ending":
        ending = str.__new__(cls, value)
        ending._value_ = value
        ending.sentence = sentence
        return ending

    # --- By themselves ---
    CLIENT_LEFT = "client-left", "The client closed the connection."
    RESOURCE_LEFT = "resource-left", "The resource closed the connection."
    CLIENT_LOST = "client-lost", "The connection to the client broke off."
    RESOURCE_LOST = "resource-lost", "The connection to the resource broke off."
    IDLE = "idle", "Nothing was sent for too long."
    # Without a worker that could say so: it was killed, or its machine is gone.
    WORKER_LOST = "worker-lost", "The worker of this session is gone."

    # --- Never began ---
    RESOURCE_UNREACHABLE = "resource-unreachable", "The resource cannot be reached from the worker."
    RESOURCE_REFUSED = (
        "resource-refused",
        "The resource did not accept the credentials that are stored for it.",
    )
    PROTOCOL = "protocol", "What was sent is not the resource's protocol."
    NOT_ALLOWED = "not-allowed", "What was asked for is not allowed here."

    # --- Cut ---
    ENDED_BY_ADMINISTRATOR = "ended-by-administrator", "An administrator ended this session."
    ACCESS_REMOVED = "access-removed", "You no longer have access to this resource."
    ACCESS_OVER = "access-over", "The time of your access is over."
    SUSPENDED = "suspended", "Your account is suspended."
    LOGGED_OUT = "logged-out", "You logged out."
    RESOURCE_GONE = "resource-gone", "The resource was deleted, or belongs to another cluster now."
    WORKER_STOPPED = "worker-stopped", "The worker stops. Connect again."
    OFFLINE = "offline", "The control plane was out of reach for too long."
    LOG_UNAVAILABLE = "log-unavailable", "The request could not be logged, and without a log nothing goes on."
