"""A WebSocket's frames from the server, while they pass: where one ends, a word of our own may stand (RFC 6455, 5).

Nothing but the borders is looked at. What is no WebSocket is not complained of here, for the browser does that: from
then on no border is known.
"""

# 5.5: a control frame is never longer, and never in pieces. A close frame's first two bytes are its code.
MAX_CONTROL = 125
MAX_REASON = MAX_CONTROL - 2
_CUT = "…".encode()

_CLOSE = 0x8
# By the first byte, whose highest bit says that a message ends here. The next three are an extension's.
_PLAIN, _CONTROL, _ENDS, _UNKNOWN = range(4)
# How many bytes more the length has. With a mask's bit in front, which is the client's alone, there is none.
_IN_TWO_BYTES, _IN_EIGHT_BYTES = 126, 127
_EXTENDED = {_IN_TWO_BYTES: 2, _IN_EIGHT_BYTES: 8}
_LONGEST_HEAD = 10


def _meaning(first: int) -> int:
    is_final, opcode = first & 0x80, first & 0x0F
    if opcode <= 0x2:
        return _PLAIN
    if 0x8 <= opcode <= 0xA and is_final:
        return _ENDS if opcode == _CLOSE else _CONTROL
    return _UNKNOWN


_MEANINGS = bytes(map(_meaning, range(256)))


class Frames:
    """Give each piece to `feed`."""

    __slots__ = ("_has_closed", "_held", "_is_lost", "_left")

    def __init__(self) -> None:
        self._held = b""
        """the beginning of a frame, too short to say how long it is"""
        self._left = 0
        """how much of a frame is still to come"""
        self._has_closed = False
        self._is_lost = False

    @property
    def at_border(self) -> bool:
        """What was fed ends with a frame, and another may follow."""
        return not (self._left or self._held or self._has_closed or self._is_lost)

    @property
    def is_over(self) -> bool:
        """Nothing of ours will do any more: the server has said goodbye, or what it sends is no WebSocket."""
        return self._is_lost or (self._has_closed and not self._left)

    def feed(self, data: bytes | memoryview) -> None:
        if self._left >= len(data):  # within one frame, as most of a large message is
            self._left -= len(data)
            return
        if self._has_closed or self._is_lost:
            self._left = 0
        else:
            self._walk(data)

    def _walk(self, data: bytes | memoryview) -> None:
        if self._held:
            data, self._held = self._held + bytes(data), b""
        size, at = len(data), _past_messages(data, self._left)
        while size - at >= 2:
            end = self._end_of(data[at : at + _LONGEST_HEAD], _MEANINGS[data[at]])
            if end is None:
                break
            at += end
            if self._is_lost or self._has_closed:
                self._left = max(0, at - size)
                return
            at = _past_messages(data, at)
        self._left = max(0, at - size)
        self._held = bytes(data[at:])

    def _end_of(self, head: bytes | memoryview, meaning: int) -> int | None:
        """How long the frame is that begins so; None while that is not said."""
        length = head[1]
        if length > MAX_CONTROL:
            more = _EXTENDED.get(length, 0)
            if len(head) < 2 + more and more and meaning == _PLAIN:
                return None
            length = int.from_bytes(head[2 : 2 + more])
            # 5.2: the least number of bytes, of which the first is no negative one's.
            fits = more and (length > MAX_CONTROL if more == 2 else 0xFFFF < length < 1 << 63)
            self._is_lost = not fits or meaning != _PLAIN
            return 2 + more + length
        self._is_lost = meaning == _UNKNOWN
        self._has_closed = meaning == _ENDS
        return 2 + length


def _past_messages(data: bytes | memoryview, at: int) -> int:
    """Where the frames that begin at `at` end, as far as they are of the usual kind: `_end_of` costs more."""
    size, meanings = len(data), _MEANINGS
    while size - at >= 4 and not meanings[data[at]]:
        length = data[at + 1]
        if length <= MAX_CONTROL:
            at += 2 + length
            continue
        long = data[at + 2] << 8 | data[at + 3]
        if length != _IN_TWO_BYTES or long <= MAX_CONTROL:
            break
        at += 4 + long
    return at


def close_frame(code: int, reason: str) -> bytes:
    """A server's: without a mask. A reason that is too long ends in an ellipsis."""
    text = reason.encode(errors="replace")
    if len(text) > MAX_REASON:
        text = text[: MAX_REASON - len(_CUT)].decode(errors="ignore").encode() + _CUT
    payload = code.to_bytes(2) + text
    return bytes((0x80 | _CLOSE, len(payload))) + payload
