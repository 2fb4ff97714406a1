"""The desk: where the processes that serve ask the one that has the control link.

messages    lines of JSON between them
server      in the link: leases, live sessions, who has to end
client      in a front: asks, and passes on what has to end
"""
