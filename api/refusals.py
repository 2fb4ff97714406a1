"""What is refused below, as callers hear it: its reason, and the status that gRPC knows."""

import grpc

from authority.services import AuthorityExpired
from clusters.workers import Refused
from connections.denials import NoAccess
from logins.selectors import LoginOver
from logins.services import TooManyPending, UnknownLogin, WrongToken
from sdm.contract.reasons import Reason
from sdm.contract.ticket import BadTicket
from sdm.pki.csr import BadRequest

_REASONS: dict[type[Exception], Reason] = {
    AuthorityExpired: Reason.UNAVAILABLE,
    BadRequest: Reason.BAD_REQUEST,
    BadTicket: Reason.BAD_TICKET,
    LoginOver: Reason.NOT_LOGGED_IN,
    NoAccess: Reason.NO_ACCESS,
    TooManyPending: Reason.TOO_MANY,
    UnknownLogin: Reason.NOT_LOGGED_IN,
    WrongToken: Reason.BAD_TOKEN,
}
REFUSALS: tuple[type[Exception], ...] = (Refused, *_REASONS)

_CODES = {
    Reason.CLOCK: grpc.StatusCode.FAILED_PRECONDITION,
    Reason.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.KEY_DELETED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.CLUSTER_DELETED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.CERTIFICATE_REVOKED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.DISCONNECTED: grpc.StatusCode.PERMISSION_DENIED,
    Reason.NO_ACCESS: grpc.StatusCode.PERMISSION_DENIED,
    Reason.BAD_TICKET: grpc.StatusCode.PERMISSION_DENIED,
    Reason.REPLACED: grpc.StatusCode.ABORTED,
    Reason.TOO_MANY: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


def refused_as(error: Exception) -> Refused:
    """One of REFUSALS, as it is told."""
    return error if isinstance(error, Refused) else Refused(_REASONS[type(error)], str(error))


def code_of(reason: Reason) -> grpc.StatusCode:
    return _CODES.get(reason, grpc.StatusCode.UNAUTHENTICATED)
