"""Keys with which a client cancels what it runs.

A CancelRequest comes on a connection of its own, "because of the need to be able to cancel while the other is busy"
(https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS). A key is a process id and
a secret: four bytes in version 3.0, up to 256 since 3.2.
"""

import secrets
from dataclasses import dataclass, field

from sdm.wire.postgres.messages import message

CANCEL_REQUEST_CODE = 80877102
SHORT_SECRET = 4
LONG_SECRET = 32
MAX_SECRET = 256


@dataclass(frozen=True, slots=True)
class CancelKey:
    process_id: int
    secret: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """As BackendKeyData."""
        return message(b"K", self.process_id.to_bytes(4) + self.secret)

    def request(self) -> bytes:
        """As CancelRequest, which has no kind, as all that may come first."""
        body = CANCEL_REQUEST_CODE.to_bytes(4) + self.process_id.to_bytes(4) + self.secret
        return (len(body) + 4).to_bytes(4) + body


def new_key(secret_length: int, process_id: int | None = None) -> CancelKey:
    """Clients hold the process id as a positive number with a sign, and some take 0 for none."""
    if process_id is None:
        process_id = 1 + secrets.randbelow(2**31 - 1)
    return CancelKey(process_id, secrets.token_bytes(secret_length))
