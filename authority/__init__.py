"""Certificate authorities for workers, clients and the control plane: issuing, renewing, revoking, rotating."""
