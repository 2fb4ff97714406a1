"""What Prometheus is told: numbers of the whole worker, summed over its processes."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sdm.worker.channel import Load

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# How a connection ended, as the fronts count it.
RESULTS = ("answered", "closed", "no_tls", "timed_out", "broken_off", "evicted", "proxy_header")
HANDSHAKES = {"full": "full_handshake", "resumed": "resumed"}


@dataclass(frozen=True, slots=True)
class Snapshot:
    version: str
    worker_id: str = ""
    cluster: str = ""
    ready: bool = False
    connected: bool = False
    certificate_expires: float = 0
    problems: int = 0
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
            ("certificate_expiry_timestamp_seconds", "When the certificate ends.", now.certificate_expires),
            ("problems", "What an operator should look at; the log says what it is.", now.problems),
            ("connections", "Connections at this moment.", load.connections),
            ("processes", "Front processes at this moment.", load.processes),
        ):
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


def exposition(snapshot: Snapshot) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot))
    return generate_latest(registry)
