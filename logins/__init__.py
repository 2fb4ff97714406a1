"""Machines that are logged in with `sdm login`: approved by a person or by a service account's token, and ended."""
