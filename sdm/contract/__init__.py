"""What the control plane and the machines it serves agree on: ids, addresses, the form of keys."""
