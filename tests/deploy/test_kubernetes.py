"""The manifests: what kustomize makes of them is valid, and fits the worker and the console's ready command."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from keys.commands import start_commands
from sdm.worker import config
from tests.clusters.factories import make_cluster
from tests.docs.pages import section, table
from tests.house.checkout import ROOT

TOOLS = Path(sys.executable).parent
FOLDER = ROOT / "deploy" / "kubernetes"


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    done = subprocess.run(
        [TOOLS / "kubectl", "kustomize", FOLDER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return {found["kind"]: found for found in yaml.safe_load_all(done.stdout)}


@pytest.fixture(scope="module")
def pod(made: dict[str, Any]) -> Any:
    return made["Deployment"]["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def worker(pod: Any) -> Any:
    (found,) = pod["containers"]
    return found


@pytest.fixture(scope="module")
def settings(worker: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in worker["env"]}


def test_every_manifest_is_made_and_valid(made: dict[str, Any]):
    assert set(made) == {"Deployment", "PodDisruptionBudget", "Service"}
    for found in made.values():
        kubernetes_validate.validate(found, kubernetes_validate.latest_version(), strict=True)


def test_all_select_the_same_pods(made: dict[str, Any]):
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    spread = made["Deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"]
    selectors = [
        made["Deployment"]["spec"]["selector"]["matchLabels"],
        made["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        made["Service"]["spec"]["selector"],
        *(each["labelSelector"]["matchLabels"] for each in spread),
    ]
    assert all(selector and selector.items() <= labels.items() for selector in selectors)


def test_the_secret_is_the_one_that_the_console_shows(db: None, worker: Any, settings: dict[str, str]):
    commands = start_commands(make_cluster(), access_key="gk-1", secret_key="sdmpck_x")
    (text,) = [command.text for command in commands if command.slug == "kubernetes"]
    secret = yaml.safe_load(text.partition("<<'EOF'\n")[2].partition("EOF\n")[0])
    kubernetes_validate.validate(secret, kubernetes_validate.latest_version(), strict=True)
    assert worker["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
    assert {*secret["stringData"], *settings} <= set(config.KNOWN)
    assert text.endswith(f"kubectl apply -k {FOLDER.relative_to(ROOT)}")


def test_a_rolling_update_is_never_short_of_a_worker(made: dict[str, Any]):
    spec = made["Deployment"]["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert made["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1


def test_a_worker_has_time_to_end(pod: Any, settings: dict[str, str]):
    needed = int(settings["SDM_SHUTDOWN_NOTICE"]) + int(settings["SDM_SHUTDOWN_TIMEOUT"]) + 5
    assert pod["terminationGracePeriodSeconds"] >= needed


def test_probes_and_balancer_ask_where_the_worker_answers(made: dict[str, Any], worker: Any, settings: Any):
    ports = {port["name"]: port["containerPort"] for port in worker["ports"]}
    asked = {name: worker[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert settings["SDM_ORCHESTRATOR_PROBES"] == f":{ports['probes']}"
    assert {probe["port"] for probe in asked.values()} == {"probes"}
    assert {probe["path"] for probe in asked.values()} <= answered()
    assert f":{ports['clients']}" == config.DEFAULT_BIND
    prefix = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-"
    notes = made["Service"]["metadata"]["annotations"]
    assert (notes[f"{prefix}port"], notes[f"{prefix}path"]) == (str(ports["probes"]), "/readiness")
    (port,) = made["Service"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (443, "clients")


def answered() -> set[str]:
    rows = table(section(ROOT / "docs" / "worker.md", "Probes and metrics"), "path")
    return {row["path"].strip("`") for row in rows}


def test_a_worker_may_do_little(pod: Any, worker: Any):
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    allowed = worker["securityContext"]
    assert allowed["readOnlyRootFilesystem"] is True
    assert allowed["allowPrivilegeEscalation"] is False
    assert allowed["capabilities"] == {"drop": ["ALL"]}
    assert worker["args"] == ["proxy", "-d"]
