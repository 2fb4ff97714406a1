"""What the `sdm` command ends with. Service managers and scripts decide by these numbers."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Taken from sysexits.h where it has a word for it."""

    OK = 0
    # Something that we did not think of; the log has the traceback.
    FAILURE = 1
    # The command line is wrong.
    USAGE = 2
    # No resource is called so, or more than one.
    NOT_FOUND = 66
    # The control plane or the agent cannot be reached. A worker keeps trying, and only its `--check` ends so.
    UNAVAILABLE = 69
    # An address to listen on is taken, or not this machine's.
    ADDRESS = 71
    # Stopped on purpose, and to be started again: a restart that the control plane asked for.
    RESTART = 75
    # The control plane will not have this worker, or nobody is logged in: trying again changes nothing.
    REFUSED = 77
    # A setting is missing or wrong.
    CONFIGURATION = 78
