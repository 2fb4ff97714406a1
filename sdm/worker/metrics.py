"""What Prometheus is told: numbers of the whole worker, summed over its processes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography import x509
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sdm.contract.endings import Ending
from sdm.worker.channel import Load

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# How a connection ended, as the fronts count it.
RESULTS = ("answered", "closed", "no_tls", "timed_out", "broken_off", "evicted", "proxy_header")
# Of the request log.
RECORDS_LOST = "records lost"
HANDSHAKES = {"full": "full_handshake", "resumed": "resumed"}
# Of sessions; what follows the last two is a word of the contract.
SESSION_OPENED, SESSION_ENDED, SESSION_REFUSED = "session opened", "session ended ", "session refused "


@dataclass(frozen=True, slots=True)
class Snapshot:
    version: str
    worker_id: str = ""
    cluster: str = ""
    ready: bool = False
    connected: bool = False
    # None while there is no such certificate.
    certificate: x509.Certificate | None = None
    identity: x509.Certificate | None = None
    problems: int = 0
    offline_grace: float = 0
    log_bytes: int = 0
    log_seconds: float = 0
    log_delivered: int = 0
    log_damaged: int = 0
    load: Load = field(default_factory=Load)


class _Collector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        now, load = self._snapshot, self._snapshot.load
        info = GaugeMetricFamily("sdm_worker_info", "Always 1.", labels=["version", "worker", "cluster"])
        info.add_metric([now.version, now.worker_id, now.cluster], 1)
        yield info
        for name, text, value in (
            ("ready", "Whether /readiness says yes.", now.ready),
            ("control_link_up", "Whether the control plane answers.", now.connected),
            (
                "certificate_expiry_timestamp_seconds",
                "When the certificate that clients are shown ends.",
                _expiry(now.certificate),
            ),
            (
                "identity_expiry_timestamp_seconds",
                "When the certificate by which the control plane knows the worker ends.",
                _expiry(now.identity),
            ),
            ("problems", "What an operator should look at; the log says what it is.", now.problems),
            ("connections", "Connections at this moment.", load.connections),
            ("sessions", "Sessions at this moment.", load.sessions),
            (
                "offline_grace_seconds",
                "How much longer sessions would go on without the control plane.",
                now.offline_grace,
            ),
            ("log_spool_bytes", "Of the request log, on disk.", now.log_bytes),
            ("log_behind_seconds", "Since when it could not be delivered.", now.log_seconds),
            ("processes", "Front processes at this moment.", load.processes),
        ):
            if value is not None:
                yield GaugeMetricFamily(f"sdm_worker_{name}", text, value=float(value))
        yield CounterMetricFamily("sdm_worker_cpu_seconds", "Of the fronts.", value=load.cpu_seconds)
        yield CounterMetricFamily(
            "sdm_worker_process_restarts", "Of processes that died.", value=load.restarts
        )
        ended = CounterMetricFamily("sdm_worker_connections_ended", "By how they ended.", labels=["result"])
        for result in RESULTS:
            ended.add_metric([result], load.counts.get(result, 0))
        yield ended
        shaken = CounterMetricFamily("sdm_worker_tls_handshakes", "That were finished.", labels=["kind"])
        for kind, count in HANDSHAKES.items():
            shaken.add_metric([kind], load.counts.get(count, 0))
        yield shaken
        yield from _sessions(load.counts)
        for of_the_log, text, number in (
            ("records_delivered", "Of the request log.", now.log_delivered),
            ("records_lost", "That could not be written.", load.counts.get(RECORDS_LOST, 0)),
            ("log_damaged_bytes", "That could not be read.", now.log_damaged),
        ):
            yield CounterMetricFamily(f"sdm_worker_{of_the_log}", text, value=number)


def _expiry(certificate: x509.Certificate | None) -> float | None:
    return certificate.not_valid_after_utc.timestamp() if certificate else None


def _sessions(counts: Mapping[str, int]) -> Iterable[Metric]:
    opened = counts.get(SESSION_OPENED, 0)
    yield CounterMetricFamily("sdm_worker_sessions_opened", "That began.", value=opened)
    ended = CounterMetricFamily("sdm_worker_sessions_ended", "By why they ended.", labels=["reason"])
    for ending in Ending:
        ended.add_metric([ending], counts.get(SESSION_ENDED + ending, 0))
    yield ended
    refused = CounterMetricFamily(
        "sdm_worker_sessions_refused", "That never began, by why.", labels=["reason"]
    )
    for key, count in sorted(counts.items()):
        if key.startswith(SESSION_REFUSED):
            refused.add_metric([key.removeprefix(SESSION_REFUSED)], count)
    yield refused


def exposition(snapshot: Snapshot) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry)
