"""Why somebody is cut, in the words that HTTP and WebSocket have for it."""

from http import HTTPStatus

from sdm.contract.endings import Ending
from sdm.transport.relay.handoff import Opaque
from sdm.wire.http.websocket import Frames, close_frame

# Somebody decided it; all else happened, and may be over when the client tries again.
_DECIDED = frozenset(
    {
        Ending.ACCESS_OVER,
        Ending.ACCESS_REMOVED,
        Ending.ENDED_BY_ADMINISTRATOR,
        Ending.LOGGED_OUT,
        Ending.RESOURCE_GONE,
        Ending.SUSPENDED,
    }
)
# RFC 6455, 7.4.1: against a policy, and going away.
_POLICY, _GOING_AWAY = 1008, 1001


def status_of(ending: Ending) -> HTTPStatus:
    return HTTPStatus.FORBIDDEN if ending in _DECIDED else HTTPStatus.SERVICE_UNAVAILABLE


class Goodbyes(Opaque):
    """A WebSocket's framer: its messages are nobody's business, but a close frame has to stand between two of them."""

    __slots__ = ("_frames",)

    def __init__(self) -> None:
        self._frames = Frames()

    def server_bytes(self, data: memoryview) -> None:
        self._frames.feed(data)

    def farewell(self, ending: Ending, message: str) -> bytes | None:
        if self._frames.is_over:
            return b""
        if not self._frames.at_border:
            return None
        return close_frame(_POLICY if ending in _DECIDED else _GOING_AWAY, message)
