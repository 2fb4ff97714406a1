import pytest
from django.test import override_settings

from keys.commands import start_commands
from tests.clusters.factories import make_cluster


def command(slug, address="proxy.example.com:443"):
    commands = start_commands(make_cluster(address=address), access_key="gk-1", secret_key="sdmpck_x")
    return next(command.text for command in commands if command.slug == slug)


@override_settings(APP_DOMAIN="console.example.com:8001")
def test_docker_maps_the_port_of_the_address(db):
    assert "-p 443:8443" in command("docker")
    assert "--network host" not in command("docker")


@pytest.mark.parametrize("domain", ["127.0.0.1:8001", "localhost:8001", "[::1]:8001"])
def test_a_container_reaches_a_control_plane_on_its_own_machine(db, domain):
    with override_settings(APP_DOMAIN=domain):
        text = command("docker")
    assert "--network host" in text
    assert "-p " not in text
    assert "SDM_BIND_ADDRESS=:443" in text


@pytest.mark.parametrize("slug", ["systemd", "shell"])
def test_a_worker_without_a_balancer_listens_on_the_port_of_the_address(db, slug):
    assert "SDM_BIND_ADDRESS=:443" in command(slug)
    assert "SDM_BIND_ADDRESS" not in command(slug, "127.0.0.1:8443")
