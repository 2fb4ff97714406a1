"""The ready commands that start a worker with a new key.

The keys travel in the environment or a file, never in an argument: arguments are seen by every user of a
machine.
"""

from dataclasses import dataclass, field

from django.conf import settings

from authority.selectors import control_plane_variables
from clusters.models import Cluster

# Where a worker listens unless told otherwise.
DEFAULT_WORKER_PORT = "8443"
# Below it, only root listens.
PRIVILEGED = 1024
# What waits to be logged outlives the container.
SPOOL = "sdm-worker:/var/lib/sdm-worker"


@dataclass(frozen=True, slots=True)
class Command:
    """One way to start a worker: what to paste, and what to know first."""

    slug: str
    label: str
    hint: str
    text: str = field(repr=False)


def start_commands(cluster: Cluster, *, access_key: str, secret_key: str) -> list[Command]:
    port = cluster.address.rpartition(":")[2]
    keys = {
        "SDM_PROXY_CLUSTER_ACCESS_KEY": access_key,
        "SDM_PROXY_CLUSTER_SECRET_KEY": secret_key,
        **control_plane_variables(),
    }
    own_port = keys if port == DEFAULT_WORKER_PORT else {**keys, "SDM_BIND_ADDRESS": f":{port}"}
    return [
        Command("shell", "Shell", _shell_hint(port), _shell(own_port)),
        Command("docker", "Docker", _docker_hint(port), _docker(keys, own_port, port)),
        Command(
            "systemd",
            "systemd",
            "On Linux with the sdm command. Runs as the service sdm-worker.",
            _systemd(own_port),
        ),
        Command("kubernetes", "Kubernetes", _kubernetes_hint(), _kubernetes(keys)),
    ]


def _exports(variables: dict[str, str]) -> str:
    return "".join(f"export {name}={value}\n" for name, value in variables.items())


def _docker(keys: dict[str, str], own_port: dict[str, str], port: str) -> str:
    variables = own_port if _is_loopback(settings.APP_DOMAIN) else keys
    passed = " ".join(f"-e {name}" for name in variables)
    # A container's own loopback is not the machine's: a control plane there is reached through the host's network.
    network = "--network host" if _is_loopback(settings.APP_DOMAIN) else f"-p {port}:{DEFAULT_WORKER_PORT}"
    return (
        f"{_exports(variables)}docker run --detach --restart=always --name sdm-worker "
        f"{network} \\\n  {passed} \\\n  -v {SPOOL} \\\n  {settings.WORKER_IMAGE} proxy -d"
    )


def _shell_hint(port: str) -> str:
    hint = "In a terminal with the sdm command, to try it. Ends with Ctrl-C."
    if int(port) < PRIVILEGED:
        return f"{hint} Run it as root, or it may not listen on port {port}; the systemd service may."
    return hint


def _docker_hint(port: str) -> str:
    if _is_loopback(settings.APP_DOMAIN) and int(port) < PRIVILEGED:
        return (
            f"Not as it stands: on the machine's own network its user may not listen on port {port}. Advertise a port "
            f"from {PRIVILEGED} on, or set CONSOLE_APP_DOMAIN to a name that containers can reach."
        )
    return f"On a machine with Docker and the image {settings.WORKER_IMAGE}, made with deploy/docker/worker.Dockerfile."


def _kubernetes_hint() -> str:
    if _is_loopback(settings.APP_DOMAIN):
        return f"Not as it stands: no pod reaches {settings.APP_DOMAIN}. Set CONSOLE_APP_DOMAIN to a name they know."
    return "With the manifests in deploy/kubernetes."


def _is_loopback(domain: str) -> bool:
    return domain.startswith(("127.", "localhost:", "[::1]"))


def _systemd(variables: dict[str, str]) -> str:
    return f"{_exports(variables)}sudo --preserve-env={','.join(variables)} sdm install --worker"


def _kubernetes(variables: dict[str, str]) -> str:
    data = "".join(f"  {name}: {value}\n" for name, value in variables.items())
    secret = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: sdm-worker\nstringData:\n{data}"
    return f"kubectl apply -f - <<'EOF'\n{secret}EOF\nkubectl apply -k deploy/kubernetes"


def _shell(variables: dict[str, str]) -> str:
    return f"{_exports(variables)}sdm proxy"
