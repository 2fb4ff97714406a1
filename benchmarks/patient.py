"""`python -m benchmarks.patient proxy`: a worker that waits as long as it takes to count what waiting costs.

A client that shook hands and is silent is given ten seconds, in which not all of ten thousand have arrived.
"""

from dataclasses import replace

from sdm.cli.main import main
from sdm.worker import front

PATIENCE = 3600.0


class PatientLimits(front.Limits):
    def within_descriptors(self) -> front.Limits:
        return replace(super().within_descriptors(), pending=1 << 20, handshake=PATIENCE, request=PATIENCE)


if __name__ == "__main__":
    front.Limits = PatientLimits  # type: ignore[misc]
    main()
