import re

import pytest
from django.test import override_settings

from authority.models import CertificateAuthority, Purpose
from authority.services import issue_control, rotation_begin
from clusters.models import Cluster
from keys.commands import start_commands
from sdm.pki import csr
from tests.clusters.factories import make_cluster


def _cluster(address):
    return Cluster.objects.filter(address=address).first() or make_cluster(address=address)


def command(slug, address="proxy.example.com:443"):
    commands = start_commands(_cluster(address), access_key="gk-1", secret_key="sdmpck_x")
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


def hints(address):
    commands = start_commands(_cluster(address), access_key="gk-1", secret_key="sdmpck_x")
    return {command.slug: command.hint for command in commands}


def test_the_way_that_needs_nothing_built_comes_first(db):
    commands = start_commands(make_cluster(), access_key="gk-1", secret_key="sdmpck_x")
    assert commands[0].slug == "shell"


def test_a_container_keeps_what_is_not_logged_yet(db):
    assert "-v sdm-worker:/var/lib/sdm-worker \\\n" in command("docker")


@override_settings(WORKER_IMAGE="sdm-worker:test")
def test_what_cannot_work_says_so_and_what_would(db):
    with override_settings(APP_DOMAIN="127.0.0.1:8001"):
        assert "may not listen on port 443" in hints("127.0.0.1:443")["docker"]
        assert hints("127.0.0.1:1024")["docker"].startswith(
            "On a machine with Docker and the image sdm-worker:test, made"
        )
        assert "no pod reaches 127.0.0.1:8001" in hints("127.0.0.1:8443")["kubernetes"]
    with override_settings(APP_DOMAIN="console.example.com:8001"):
        assert not any("Not as it stands" in hint for hint in hints("127.0.0.1:443").values())


@pytest.mark.parametrize("domain", ["127.0.0.1:8001", "console.example.com:8001"])
def test_a_shell_says_who_may_listen_on_the_port(db, domain):
    with override_settings(APP_DOMAIN=domain):
        assert "Run it as root, or it may not listen on port 443" in hints("proxy.example.com:443")["shell"]
        assert "as root" in hints("proxy.example.com:1023")["shell"]
        assert "as root" not in hints("proxy.example.com:1024")["shell"]


@pytest.mark.parametrize("slug", ["docker", "systemd", "kubernetes", "shell"])
def test_each_command_tells_whom_to_believe_where_no_public_authority_does(db, alice, slug):
    assert "SDM_APP_CA_PIN" not in command(slug)
    issue_control(csr_pem=csr.new_csr(csr.new_key()), hosts=["console.example.com"])
    assert "SDM_APP_CA_PIN" not in command(slug), "the operator's own certificate is shown"
    rotation_begin(actor=alice, purpose=Purpose.CONTROL)
    with override_settings(API_OWN_CERTIFICATE=True, APP_DOMAIN="console.example.com:8001"):
        text = command(slug)
    pins = [
        f"sha256:{authority.fingerprint}" for authority in CertificateAuthority.objects.order_by("created_at")
    ]
    assert re.search(rf"SDM_APP_CA_PIN(=|: ){','.join(pins)}\n", text)
    assert slug != "docker" or "-e SDM_APP_CA_PIN" in text
    assert slug != "systemd" or re.search(r"--preserve-env=\S*SDM_APP_CA_PIN", text)


@pytest.mark.parametrize("slug", ["systemd", "shell"])
def test_a_worker_without_a_balancer_listens_on_the_port_of_the_address(db, slug):
    assert "SDM_BIND_ADDRESS=:443" in command(slug)
    assert "SDM_BIND_ADDRESS" not in command(slug, "127.0.0.1:8443")
