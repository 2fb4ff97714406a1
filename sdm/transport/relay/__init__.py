"""Bytes between a client and a resource, in a thread of its own.

Coroutines open a session: handshake, ticket, lease, the protocol's start-up. What comes then is the same few lines for
hours, and has to be quick: bounded callbacks on non-blocking sockets, one buffer for all sessions, which is also what
one of them may move before the next has its turn.

handoff   what a coroutine gives away: sockets, bytes that are there already, and the framer
ends      one side: a socket, with or without TLS, and what it has not taken yet
pair      both sides of one session: pressure, half-close, cuts, the end
loop      the thread
"""
