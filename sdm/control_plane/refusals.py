"""What an error of a call means: the reason that the control plane gives, or that it could not be asked."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

import grpc
from grpc import aio

from sdm.contract import reasons
from sdm.contract.reasons import Reason

log = logging.getLogger(__name__)

R = TypeVar("R")

# Of one connection a server takes so many calls at a time; one beyond them it does not look at (RFC 9113, 8.7).
_REFUSED_STREAM = "RST_STREAM with error code 7"
_BROKE_OFF = "The connection to the control plane at {name} broke off."
NOT_OURS = "{name} answers, but not as a control plane's API: is this the console's own port?"
# The details are of whatever fell over there, and its own log has them.
_FAILS = "The control plane at {name} fails with gRPC status {status}. Its log says why."
_WITHOUT_A_WORD = {
    grpc.StatusCode.UNAVAILABLE: _BROKE_OFF,
    grpc.StatusCode.CANCELLED: _BROKE_OFF,
    # What is sent at the moment of a refusal makes gRPC forget the refusal; the next attempt hears it.
    grpc.StatusCode.INTERNAL: _BROKE_OFF,
    grpc.StatusCode.DEADLINE_EXCEEDED: "The control plane at {name} does not answer in time.",
    # What gRPC makes of the statuses of other sites.
    grpc.StatusCode.UNIMPLEMENTED: NOT_OURS,
    grpc.StatusCode.UNAUTHENTICATED: NOT_OURS,
    grpc.StatusCode.PERMISSION_DENIED: NOT_OURS,
}


class ControlError(Exception):
    """A call failed or was refused. What to do next, its reason says; the text is for people."""

    def __init__(self, reason: Reason, message: str = "") -> None:
        super().__init__(message or reason.sentence)
        self.reason = reason


class NoAnswer(ControlError):
    """Nobody answered who could have refused; whoever wants to know why has to look."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.UNAVAILABLE, message)


class NotTaken(NoAnswer):
    """There were too many calls on this connection, and this one was not begun: it can be made again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The control plane at {name} is asked too much at once. Try again.")


async def answer(call: Awaitable[R], name: str) -> R:
    """What `call` gives; ControlError when it is refused or fails. `name` is the control plane's, for people.

    Who closes a channel cancels the calls on it, and gRPC lets that look as if whoever waits for them were cancelled.
    """
    try:
        return await call
    except aio.AioRpcError as error:
        raise refusal(error, name) from None
    except aio.UsageError:  # it was closed before the call began
        raise NoAnswer(_BROKE_OFF.format(name=name)) from None
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise NoAnswer(_BROKE_OFF.format(name=name)) from None


def refusal(error: aio.AioRpcError, name: str) -> ControlError:
    words = dict(error.trailing_metadata() or ())
    word, details = words.get(reasons.METADATA), error.details() or ""
    if word is None:
        log.debug("gRPC says: %s %s", error.code().name, details)
        if _REFUSED_STREAM in details:
            return NotTaken(name)
        sentence = _WITHOUT_A_WORD.get(error.code(), _FAILS)
        return NoAnswer(sentence.format(name=name, status=error.code().name))
    try:
        return ControlError(Reason(str(word)), details)
    except ValueError:
        # Of a later version than ours. The status tells whether time may help.
        final = error.code() in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
        return ControlError(Reason.BAD_REQUEST if final else Reason.UNAVAILABLE, details)
