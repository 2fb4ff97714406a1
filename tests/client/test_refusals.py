"""What becomes of an error of gRPC."""

import grpc
import pytest
from grpc import aio

from sdm.contract.reasons import Reason
from sdm.control_plane.refusals import refusal

RAW = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: refused"


@pytest.mark.parametrize("status", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_nobody_is_shown_what_grpc_says(status: grpc.StatusCode):
    error = aio.AioRpcError(status, aio.Metadata(), aio.Metadata(), details=RAW)
    found = refusal(error, "console.example.com:8001")
    assert found.reason is Reason.UNAVAILABLE
    assert "console.example.com:8001" in str(found)
    assert "ipv4" not in str(found)
