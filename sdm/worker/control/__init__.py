"""The worker's side of the control link.

connection    a gRPC channel to the control plane: public authorities, a pinned one, or the clear on loopback
calls         the five calls of sdm.contract.v1.Workers, proven and with their refusals named
membership    joining, staying, renewing, coming back
"""
