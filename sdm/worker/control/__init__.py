"""The worker's side of the control link.

calls         the five calls of sdm.contract.v1.Workers, proven and with their refusals named
membership    joining, staying, renewing, coming back
"""
