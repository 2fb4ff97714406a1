"""Certificates, for the control plane and the machines it serves: names, requests, profiles and chain checks."""
