"""What clients and workers are given so that somebody reaches a resource: catalog, tickets and leases, and whether
live sessions may go on. `access` decides; here it is turned into what each of them needs, and denials are recorded."""
