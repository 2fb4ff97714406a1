"""Moving bytes, for workers and clients: coroutines that open connections, and the relay between two of them."""
