"""People: sign-in, levels, invitations."""
