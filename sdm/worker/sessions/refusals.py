"""Why there is no session: said to the client in HTTP, as RFC 9457 has it."""

import json
from http import HTTPStatus

CONTENT_TYPE = "application/problem+json"


class Refused(Exception):
    """There is no session. The text is for the person, `reason` for programs.

    `is_own`: this worker has said no by itself, to somebody, and the control plane has not heard of it.
    """

    def __init__(self, status: HTTPStatus, reason: str, detail: str, *, is_own: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.is_own = is_own

    def body(self) -> bytes:
        problem = {
            "type": f"urn:sdm:refusal:{self.reason}",
            "title": self.status.phrase,
            "status": int(self.status),
            "detail": str(self),
            "reason": self.reason,
        }
        return json.dumps(problem).encode() + b"\n"


def unauthorized(reason: str, detail: str) -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, reason, detail, is_own=True)


def unavailable(reason: str, detail: str) -> Refused:
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, reason, detail)


def unreachable(detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_GATEWAY, "resource-unreachable", detail)


def ended_meanwhile(reason: str, detail: str) -> Refused:
    """Cut before it began; `reason` is one of sdm.contract.endings."""
    return Refused(HTTPStatus.FORBIDDEN, reason, detail)
