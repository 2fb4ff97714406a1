"""What the names of statements and portals mean to the server, as far as a client's stream and the replies tell.

A name is certain in the segment in which the client gave it, for what follows runs only if the server agreed; and
later, once the server did agree. It is in doubt after SQL that can give it to something else (`naming`).
"""

from collections import OrderedDict
from dataclasses import dataclass

from sdm.contract.parameters import NO_PARAMETERS, Parameters
from sdm.wire.postgres.naming import deallocated, renames_portals, renames_statements
from sdm.wire.postgres.requests import MAX_NAME, Kind, Prepared, Request, Text

# Drivers keep some hundreds of statements (pgJDBC: 256). Those used longest ago go first.
MAX_STATEMENTS = 1000
MAX_STATEMENT_BYTES = 256 * 1024
MAX_PORTALS = 100


class Statements:
    """Prepared statements by name, those used last."""

    def __init__(self) -> None:
        self.doubts = 0
        """How often SQL passed after which each name may mean another statement"""
        self._requests: OrderedDict[bytes, Prepared] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._requests)

    def add(self, name: bytes, request: Prepared) -> None:
        former = self._requests.pop(name, None)
        if former is not None:
            self._size -= _kept(former)
            request.former = _standing(former)
        request.doubts = self.doubts
        self._requests[name] = request
        self._size += _kept(request)
        while len(self._requests) > MAX_STATEMENTS or self._size > MAX_STATEMENT_BYTES:
            _, oldest = self._requests.popitem(last=False)
            self._size -= _kept(oldest)

    def get(self, name: bytes) -> Prepared | None:
        request = self._requests.get(name)
        if request is None:
            return None
        self._requests.move_to_end(name)
        return request if request.taken is not False else _standing(request)

    def drop(self, name: bytes) -> None:
        request = self._requests.pop(name, None)
        if request is not None:
            self._size -= _kept(request)

    def is_certain(self, request: Prepared, segment: int) -> bool:
        """Whether what runs under this name in `segment`, if anything does, is this text.

        The server reads names in the client's encoding, which may change: other bytes than ASCII may be another name,
        or the same. SQL cannot name the statement without a name.
        """
        if request.segment != segment and not request.taken:
            return False
        name = request.statement
        return not name or (request.doubts == self.doubts and name.isascii())


def _standing(request: Prepared | None) -> Prepared | None:
    """What a name means when those Parses that failed are left out."""
    while request is not None and request.taken is False:
        request = request.former
    return request


def _kept(request: Request) -> int:
    return len(request.text.data) if request.text else 0


@dataclass(slots=True)
class Portal:
    """A statement with its values: what an Execute names."""

    statement: bytes = b""
    prepared: Prepared | None = None
    doubt: bytes = b"portal without a name"
    """as that of a request"""
    segment: int = 0
    bound: Prepared | None = None
    """of one with a name"""
    parameters: Parameters = NO_PARAMETERS


class Names:
    def __init__(self) -> None:
        self.segment = 0
        """How many Syncs were there"""
        self.given = False
        """Whether there was ever a name that SQL could give away"""
        self.statements = Statements()
        self.portals: OrderedDict[bytes, Portal] = OrderedDict()
        self._portal = Portal()
        self._portal_doubts = 0

    def prepare(self, request: Prepared) -> None:
        self.statements.add(request.statement, request)
        if request.statement:
            self.given = True

    def bind(self, name: bytes, statement: bytes) -> Portal:
        prepared, doubt = self.statements.get(statement), b""
        # Nearly always it is what was parsed in the same segment, and has no name.
        if prepared is None or (
            (statement or prepared.segment != self.segment)
            and not self.statements.is_certain(prepared, self.segment)
        ):
            doubt = b"statement " + (statement or b"without a name")
        portal = Portal(statement, prepared, doubt, self.segment)
        if name:
            self._name(name, portal)
        else:
            self._portal = portal
        return portal

    def _name(self, name: bytes, portal: Portal) -> None:
        self.given = True
        portal.bound = Prepared(0, Kind.BIND, None, returned=False, doubts=self._portal_doubts)
        self.portals.pop(name, None)
        self.portals[name] = portal
        if len(self.portals) > MAX_PORTALS:
            self.portals.popitem(last=False)

    def execute(self, name: bytes) -> tuple[Portal, bytes]:
        """A portal, and what of it is in doubt. It may give names away itself."""
        portal = self.portals.get(name) if name else self._portal
        if portal is None:
            portal = Portal(doubt=b"portal " + name)
        doubt = portal.doubt
        if not doubt and (name or portal.segment != self.segment) and not self._stands(name, portal):
            doubt = b"portal " + (name or b"without a name")
        if self.given:
            self._executed(None if doubt else portal.prepared)
        return portal, doubt

    def _stands(self, name: bytes, portal: Portal) -> bool:
        bound = portal.bound
        if bound is None or bound.doubts != self._portal_doubts or not name.isascii():
            return False
        return portal.segment == self.segment or bound.taken is True

    def close_statement(self, name: bytes) -> None:
        self.statements.drop(name)

    def close_portal(self, name: bytes) -> None:
        if name:
            self.portals.pop(name, None)
        else:
            self._portal = Portal()

    def _executed(self, prepared: Prepared | None) -> None:
        """None: what may be anything."""
        if prepared is None:
            self.queried(None)
        elif prepared.touches is not False:
            prepared.touches = self.queried(prepared.text)

    def queried(self, text: Text | None) -> bool:
        """Put those names in doubt that a text may give to others; whether there are any."""
        if not self.given:
            return False
        name = deallocated(text)
        if name is not None:
            self.statements.drop(name[:MAX_NAME])
            return True
        statements = renames_statements(text)
        self.statements.doubts += statements
        if statements or renames_portals(text):
            self._portal_doubts += 1
            return True
        return False
