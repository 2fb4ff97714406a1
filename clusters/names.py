"""Readable names for clusters that were given none: `keen-coffee`, `quiet-harbor`."""

import secrets
from collections.abc import Callable

_ADJECTIVES = (  # noqa: SIM905  # a list of words is read best as words
    "able amber brave brisk calm clear clever cosy crisp eager early fair fleet fresh gentle glad golden grand "
    "happy hardy honest humble jolly keen kind light lively loyal lucky mellow merry mild modest neat noble "
    "patient plain proud quick quiet rapid ready robust serene sharp silver simple sleek smart smooth snug "
    "solid steady still sturdy sunny swift tidy true vivid warm wise witty young"
).split()
_NOUNS = (  # noqa: SIM905  # the same
    "acorn almond anchor apple arbor badger banjo beacon birch bridge brook candle canyon castle cedar cherry "
    "cliff cloud clover cobalt coffee comet copper coral creek dolphin ember falcon fern field forest garden "
    "ginger glacier granite grove harbor hazel heron island jasper kettle lagoon lantern laurel lemon maple "
    "marble meadow mesa mint oak ocean olive orchard otter pebble pepper pine planet plum quartz raven reef "
    "ridge river saddle sage sparrow spruce summit thistle tulip valley violet walnut willow"
).split()

_TRIES = 20


def free_name(is_taken: Callable[[str], bool]) -> str:
    """A pair that is not taken; with a number behind it once pairs get rare."""
    for _ in range(_TRIES):
        name = f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}"
        if not is_taken(name):
            return name
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{secrets.randbelow(10**8):08}"
