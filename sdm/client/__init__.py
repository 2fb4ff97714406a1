"""What runs on people's machines: an agent that listens on loopback and tunnels to the workers.

home       where it keeps what it knows
identity   the certificate by which this machine speaks for an account
calls      the calls of sdm.contract.v1.Clients, proven and with their refusals named
login      signing in, with a browser or a token
catalog    what the account reaches, kept up to date
tickets    permissions to connect, for some minutes each
tunnel     one connection through a worker
listener   one resource on one local port
agent      all of it together, and `control` is how commands speak to it
"""
