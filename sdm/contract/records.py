"""Records of the request log, as they are read from the spool or from a delivery."""

import hashlib
import logging
from collections.abc import Sequence

from google.protobuf.message import DecodeError

from sdm.contract.parameters import Parameters
from sdm.contract.v1 import records_pb2 as pb

log = logging.getLogger(__name__)


def decoded(records: Sequence[bytes]) -> list[pb.Record]:
    """Those that can be read. One that cannot would stand in the way of all that come after it, for ever."""
    found = []
    for record in records:
        try:
            found.append(pb.Record.FromString(record))
        except DecodeError:
            continue
    if len(found) < len(records):
        unread = len(records) - len(found)
        log.error(
            "%d of %d records of the request log cannot be read, and are left out.", unread, len(records)
        )
    return found


def digest_of(request: pb.RequestStarted) -> bytes:
    """The SHA-256 of all of its text; empty when that is told by its end."""
    if request.text_length > len(request.text):
        return request.sha256
    return hashlib.sha256(request.text).digest()


def set_parameters(request: pb.RequestStarted, parameters: Parameters) -> None:
    """Instead of those that it had."""
    values = parameters.values
    request.parameters[:] = [value or b"" for value in values]
    request.parameters_null[:] = [at for at, value in enumerate(values) if value is None]
    request.parameters_cut = parameters.is_cut
    request.parameters_total = parameters.total
    request.parameters_last_length = parameters.last_length


def parameters_of(request: pb.RequestStarted) -> Parameters:
    null = set(request.parameters_null)
    return Parameters(
        tuple(None if at in null else value for at, value in enumerate(request.parameters)),
        request.parameters_cut,
        request.parameters_total,
        request.parameters_last_length,
    )
