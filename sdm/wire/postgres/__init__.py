"""PostgreSQL's protocol, 3.0 and 3.2, for something that stands between a client and a server.

Start-up ends on both sides before anything is passed on; from then on bytes pass as they are, and a copy is read:

1. `startup.Startup` reads what the client sends first. Feed it, send what `data_to_send()` gives, until it returns a
   `StartupMessage`, or a `CancelKey`, of which a CancelRequest consists.
2. To the server: `startup.SSL_REQUEST` and `startup.accepts_tls(answer)`, TLS, `startup.upstream_startup(…)`; then
   `authentication.Authentication` is fed what the server sends, until it returns a `Session`.
3. To the client: `startup.welcome(…)` with the session's parameters and the key that the client may cancel with.
4. From then on each piece from the client goes through `frames.Requests.feed` *before* it is passed on: what that
   returns is to be written down first. Each piece from the server goes through `replies.Replies.feed`, which says how
   requests ended. `Startup.rest` and `Session.rest` are the first pieces. While `Requests.full`, read no client.

Every failure is a `PostgresError`: send `error.report.to_bytes()` to the client and close. An ErrorResponse of ours
may be put into a running stream only while `Replies.at_boundary`; elsewhere it would end up inside of a row.
"""
