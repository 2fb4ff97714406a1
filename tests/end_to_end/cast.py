"""Ada administers; Alice works with what she was given."""

ADA, ALICE = "ada@example.com", "alice@example.com"
