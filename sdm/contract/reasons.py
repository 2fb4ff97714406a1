"""Why the control plane refuses a worker or a client, or tells a worker to stop: one word each, and what follows.

The word stands in the trailing metadata `METADATA` of an error, and in `Stop.reason`. The status' message, or
`Stop.message`, is for people and may say more than `sentence`, which is what a worker says when it has no other.
"""

from enum import Enum, StrEnum

METADATA = "sdm-reason"


class Then(Enum):
    """What a worker does next."""

    # The same again, after a pause that grows.
    RETRY = "retry"
    # What it is known by is no longer good: it joins again with its key, after a pause.
    REGISTER = "register"
    # A person has to do something first; trying again would change nothing.
    END = "end"


class Reason(StrEnum):
    """`Reason("clock")` is the string "clock"."""

    then: Then
    sentence: str

    def __new__(cls, value: str, then: Then = Then.END, sentence: str = "") -> "Reason":
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.then = then
        reason.sentence = sentence
        return reason

    @property
    def may_retry(self) -> bool:
        return self.then is not Then.END

    # --- The key ---
    UNKNOWN_KEY = "unknown-key", Then.END, "There is no such access key. Copy both keys again."
    WRONG_SECRET = (
        "wrong-secret",
        Then.END,
        "The secret key is not the one of this access key. Copy both keys again.",
    )
    OTHER_CLUSTERS_KEY = (
        "other-clusters-key",
        Then.END,
        "The secret key is another cluster's. Copy both keys from one place.",
    )
    KEY_DELETED = (
        "key-deleted",
        Then.END,
        "The access key is deleted. Start the worker with another key of its cluster.",
    )
    CLUSTER_DELETED = "cluster-deleted", Then.END, "The cluster of this worker is deleted."

    # --- The call ---
    CLOCK = (
        "clock",
        Then.RETRY,
        "This machine's clock is not that of the control plane. Set it, with NTP for one.",
    )
    CHALLENGE_EXPIRED = (
        "challenge-expired",
        Then.RETRY,
        "The challenge was answered too late, or twice. It is asked for again.",
    )
    BAD_REQUEST = (
        "bad-request",
        Then.END,
        "The control plane does not understand this worker. Do both have the same version?",
    )
    BAD_PROOF = "bad-proof", Then.REGISTER, "The worker could not prove who it is. It joins again."

    # --- The certificate and the worker ---
    CERTIFICATE_EXPIRED = (
        "certificate-expired",
        Then.REGISTER,
        "The worker's certificate has expired. It joins again.",
    )
    CERTIFICATE_REVOKED = (
        "certificate-revoked",
        Then.END,
        "The worker's certificate was withdrawn. Start the worker again.",
    )
    WORKER_UNKNOWN = (
        "worker-unknown",
        Then.REGISTER,
        "The control plane does not know this worker any more. It joins again.",
    )
    DISCONNECTED = (
        "disconnected",
        Then.END,
        "An administrator disconnected this worker. Start it again when it should come back.",
    )
    # Two streams of one worker: the newer one stays. A worker that hears this on its only one opens it again.
    REPLACED = "replaced", Then.RETRY, "Another stream of the same worker has taken the place of this one."

    # --- Clients, and what workers ask for them ---
    NOT_LOGGED_IN = "not-logged-in", Then.END, "You are not logged in any more. Log in again with sdm login."
    BAD_TOKEN = "bad-token", Then.END, "There is no service account with this token, or it is suspended."
    # The message says which of the ways to it is closed, and since when.
    NO_ACCESS = "no-access", Then.END, "You have no access to this resource."
    BAD_TICKET = "bad-ticket", Then.END, "The ticket is not good for this connection. Connect again."

    # --- The control plane ---
    TOO_MANY = "too-many", Then.RETRY, "Too many attempts. The next one comes after a pause."
    UNAVAILABLE = "unavailable", Then.RETRY, "The control plane cannot answer now."
