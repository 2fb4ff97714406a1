"""Proxy cluster keys: shown once, the public half stored."""
