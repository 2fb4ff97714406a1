"""The console's cookies, by which a worker keeps them from websites.

A browser does not tell ports apart: with a console on this machine it sends them to a website's local port as well.
"""

SESSION = "sdm-console-session"
CSRF = "sdm-console-csrf"
# Over TLS, browsers hold a cookie with this prefix to the host that set it.
HOST_PREFIX = "__Host-"

NAMES = frozenset(prefix + name for prefix in ("", HOST_PREFIX) for name in (SESSION, CSRF))
