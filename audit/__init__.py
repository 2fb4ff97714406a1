"""What happened: every change and every refusal, append-only."""
