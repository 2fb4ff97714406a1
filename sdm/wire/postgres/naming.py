"""SQL after which a name means another statement or portal than the protocol alone would say.

What is looked for begins a statement: what comes before it is the beginning of the text, `;`, the end of a comment or
of a line. Too much is found rather than too little, for it only puts names in doubt. What a function does inside is not
seen; DO and CALL therefore count as if they did everything.
"""

import re

from sdm.wire.postgres.requests import Text

# Runs of white space are read once: a text may be nothing else.
_BEGINS, _FOLLOWS = rb"[ \t\f\v]*", rb"[;/\n\r][ \t\f\v]*"
_STATEMENTS = rb"(?i:PREPARE(?!\s+TRANSACTION\s+')|DEALLOCATE|DISCARD|CALL|DO(?!\s+(?:NOTHING|UPDATE)\b))\b"
_PORTALS = rb"(?i:DECLARE)\b"

_first_statements, _statements = (
    re.compile(_BEGINS + _STATEMENTS).match,
    re.compile(_FOLLOWS + _STATEMENTS).search,
)
_first_portals, _portals = re.compile(_BEGINS + _PORTALS).match, re.compile(_FOLLOWS + _PORTALS).search
_ALONE = re.compile(
    rb"(?:DEALLOCATE|deallocate)\s+(?!(?i:ALL|PREPARE)\b)(?:([a-z_][a-z0-9_]*)|\"(\w+)\")\s*;?\s*"
)


def renames_statements(text: Text | None) -> bool:
    if text is None or text.cut:
        return True
    return bool(_first_statements(text.data) or _statements(text.data))


def renames_portals(text: Text | None) -> bool:
    if text is None or text.cut:
        return True
    return bool(_first_portals(text.data) or _portals(text.data))


def deallocated(text: Text | None) -> bytes | None:
    """The only name that a text gives away, which some drivers do in the place of Close."""
    found = _ALONE.fullmatch(text.data) if text is not None and not text.cut else None
    return (found[1] or found[2]) if found else None
