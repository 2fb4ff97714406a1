"""Secrets at rest: AES-256-GCM envelopes, their keys and the rotation of both."""
