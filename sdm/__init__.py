"""What runs on other machines: proxy workers and the `sdm` command. Never imports Django."""

import os

# Its core writes past every log, to standard error, what we say in our own words. It looks when it is imported, which
# is always after this.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
