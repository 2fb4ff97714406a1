"""Sessions: from a request for a resource to the record of how it ended.

request     which requests are for a resource, and how they are answered
gate        who asks: ticket, client certificate, proof
lease       what the control plane gives for that: the person, the target with its credentials, for how long
attempts    which refusals go into the log
session     what a kind works with
sessions    all of them in one process
"""
