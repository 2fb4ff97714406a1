"""The `sdm` command."""
