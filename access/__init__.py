"""Who may reach what, until when, and why."""
