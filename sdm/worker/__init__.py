"""The proxy worker: processes, the front towards clients, and the link to the control plane.

    supervisor    the process that is started. It binds, forks and restarts the others, passes messages between them
                  (channel), and ends them in order. One thread, no event loop: it can fork at any time
      link        one process: the control link (control/), certificates from files, probes and metrics
      front       a process per CPU on one shared listener: PROXY header (sdm.wire), TLS (tls), HTTP (http), 404

Keys live in the memory of these processes and nowhere else. docs/adr/0014 says why it is divided like this.
"""
