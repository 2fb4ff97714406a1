"""News between the processes of the control plane, and jobs that one of them does for all.

`publish` sends with the transaction it is called in; a `Hub` hears for its process and hands out to those who
subscribed. An event says that something changed and where, never what it is now: whoever hears it looks. So one
that comes twice does no harm, and where some were lost, looking again makes up for it (`MISSED`).
"""
