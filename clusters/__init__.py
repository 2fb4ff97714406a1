"""Proxy clusters, their workers, tags and maintenance windows."""
