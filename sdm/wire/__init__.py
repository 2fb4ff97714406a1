"""Codecs without input or output: bytes go in, events come out. Nothing here knows of sockets, time or threads."""
