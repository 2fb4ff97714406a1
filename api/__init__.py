"""The gRPC front door: what workers and clients ask over the wire. It calls services and decides nothing itself."""

import sdm  # noqa: F401  # before gRPC, which it keeps from writing to standard error
