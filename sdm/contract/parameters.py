"""The bind values of a request, as far as the request log has them."""

from typing import NamedTuple

# Of one request: so many values, and so much of all of them together.
MAX_VALUES = 1_000
MAX_BYTES = 1 << 15


class Parameters(NamedTuple):
    """The first values; None is NULL. None but the last of them can have been cut: nothing follows it."""

    values: tuple[bytes | None, ...] = ()
    is_cut: bool = False
    """whether there were more of them, or longer ones"""
    total: int = 0
    """how many there were; 0 when that is not known"""
    last_length: int = 0
    """how long the last of `values` was, when it is cut"""


NO_PARAMETERS = Parameters()
