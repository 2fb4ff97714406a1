"""A restart in place: the same process runs the program anew, perhaps in a newer version.

Service managers, containers and a plain shell all keep their worker this way, since nothing ends. The sockets stay
open, so that whoever connects meanwhile waits and is not refused; who the worker is travels through a pipe, because
keys are never written to disk.
"""

import json
import os
import socket
import sys
from collections.abc import MutableMapping
from dataclasses import asdict
from typing import NoReturn

from sdm.worker.channel import Identity
from sdm.worker.listeners import Listeners

# The descriptor of the pipe. No setting: it is taken out of the environment at once.
_VARIABLE = "_SDM_RESTARTED_WITH"


def begin_anew(listeners: Listeners, identity: Identity) -> NoReturn:
    """Become the next one. OSError when the program is not there any more."""
    read, write = os.pipe()  # holds far more than what is written
    kept = {"clients": listeners.clients, "probes": listeners.probes, "metrics": listeners.metrics}
    sockets = {name: sock.fileno() for name, sock in kept.items() if sock is not None}
    for descriptor in (read, *sockets.values()):
        os.set_inheritable(descriptor, True)
    os.write(write, json.dumps({"identity": asdict(identity), "sockets": sockets}).encode())
    os.close(write)
    os.environ[_VARIABLE] = str(read)
    # As it was started: by `sdm`, which is a script, or by `python -m sdm`.
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def take_over(environ: MutableMapping[str, str]) -> tuple[Listeners, Identity] | None:
    """What the one before left us, if there was one."""
    descriptor = environ.pop(_VARIABLE, "")
    if not descriptor:
        return None
    with open(int(descriptor), encoding="utf-8") as pipe:
        left = json.load(pipe)
    sockets = {name: socket.socket(fileno=number) for name, number in left["sockets"].items()}
    for sock in sockets.values():
        sock.setblocking(False)
        sock.set_inheritable(False)
    listeners = Listeners(sockets["clients"], sockets.get("probes"), sockets.get("metrics"))
    return listeners, Identity(**left["identity"])
