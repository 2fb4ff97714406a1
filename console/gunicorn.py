"""How gunicorn serves the console. Passed to it as `python:console.gunicorn`."""

import os
import sys

from gunicorn.http import message, wsgi

from console import env, first_run

try:
    bind = [str(first_run.listen())]
    workers = first_run.workers()
except env.SettingError as error:
    sys.exit(f"console: {error}")

# Views wait for the database most of their time; threads wait more cheaply than processes.
worker_class = "gthread"
threads = 64
timeout = 60
graceful_timeout = 20
# Longer than the minute that load balancers keep an idle connection, so that they close it, not we.
keepalive = 75
# The heartbeat file of each worker: on a disk, a slow write would look like a hung worker.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108  # gunicorn makes it privately

# Whether a proxy's word counts is decided in one place, the settings; here nobody is believed.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}
# A second door to the process, made in the home directory. We have no use for it.
control_socket_disable = True

# A search of ten thousand characters is text, not an error: each may take twelve in an address.
message.MAX_REQUEST_LINE = limit_request_line = 128 * 1024
# htmx repeats the address of the page in a header.
limit_request_field_size = 32 * 1024

# No access log: the set-up address is a secret that stands in a path.
accesslog = None
loglevel = "warning"
# What serves the console is nobody's business.
wsgi.SERVER = "console"
