"""What an error of a call means: the reason that the control plane gives, or that it could not be asked."""

from collections.abc import Awaitable
from typing import TypeVar

import grpc
from grpc import aio

from sdm.contract import reasons
from sdm.contract.reasons import Reason

R = TypeVar("R")


class ControlError(Exception):
    """A call failed or was refused. What to do next, its reason says; the text is for people."""

    def __init__(self, reason: Reason, message: str = "") -> None:
        super().__init__(message or reason.sentence)
        self.reason = reason


async def answer(call: Awaitable[R], name: str) -> R:
    """What `call` gives; ControlError when it is refused or fails. `name` is the control plane's, for people."""
    try:
        return await call
    except aio.AioRpcError as error:
        raise refusal(error, name) from None


def refusal(error: aio.AioRpcError, name: str) -> ControlError:
    words = dict(error.trailing_metadata() or ())
    word, details = words.get(reasons.METADATA), error.details() or ""
    if error.code() is grpc.StatusCode.INTERNAL and word is None:
        # What is sent at the moment of a refusal makes gRPC forget the refusal; the next attempt hears it.
        return ControlError(Reason.UNAVAILABLE, f"The stream to the control plane at {name} broke off.")
    if word is None:
        why = details or error.code().name
        return ControlError(Reason.UNAVAILABLE, f"The control plane at {name} does not answer: {why}.")
    try:
        return ControlError(Reason(str(word)), details)
    except ValueError:
        # Of a later version than ours. The status tells whether time may help.
        final = error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
        return ControlError(Reason.BAD_REQUEST if final else Reason.UNAVAILABLE, details)
