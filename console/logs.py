"""What the log makes of requests that were refused."""

import logging


class RefusalsInOneLine(logging.Filter):
    """A request that is refused is the sender's fault: a warning of one line. `ERROR` is kept for faults of ours.

    Django logs some refusals as errors, and most with a traceback, which anybody could fill a disk with.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        status = getattr(record, "status_code", None)
        if record.name.startswith("django.security") or (isinstance(status, int) and status < 500):
            record.exc_info = record.exc_text = None
            if record.levelno > logging.WARNING:
                record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
