"""PostgreSQL: signs in with the resource's credentials, logs each query before it goes on, and cancels.

opening     both sides' start-up, and what a client is told when there is no session
server      the way to the server: TLS, signing in
canceling   cancel keys that work through any worker of the cluster
framer      what passes, as records of the log
"""

from sdm.worker.protocols.postgres.opening import open
from sdm.worker.protocols.postgres.server import check

__all__ = ["check", "open"]
