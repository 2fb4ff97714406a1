"""The data path: what passes through a worker, and through the proxies that it is compared with.

services    what is at the far end: servers that answer, swallow, pour, or hang up
opener      what stands before a client that speaks no tunnel, on both sides alike
world       one worker with its control plane, PostgreSQL and the services, for a run
peers       PgBouncer, HAProxy and nginx
queries, bulk, pings, stalled, sites, opened, agent
            one figure each
figures     what was measured, as rows of a table
"""
