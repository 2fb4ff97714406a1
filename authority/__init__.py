"""Certificate authorities: one for workers, one for clients; issuing, renewing, revoking, rotating."""
