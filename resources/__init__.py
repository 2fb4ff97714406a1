"""Resources, their kinds and their sealed credentials."""
