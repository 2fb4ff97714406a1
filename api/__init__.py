"""The gRPC front door: what workers and clients ask over the wire. It calls services and decides nothing itself."""
