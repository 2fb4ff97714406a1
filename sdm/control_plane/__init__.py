"""How workers and clients reach the control plane.

where         its address, and whom to believe that it is the one
connection    a gRPC channel: public authorities, a pinned one, or the clear on loopback
certificates  what it shows of itself
reaching      why it does not answer
refusals      what an error of a call means
together      what goes on at once on one connection
proven        calls that prove who makes them
pauses        how long to wait before the next attempt
"""
