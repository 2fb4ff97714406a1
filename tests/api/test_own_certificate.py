"""The API over TLS with a certificate of the console's own authority, and workers that pin that authority."""

import asyncio
import datetime as dt
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Account
from api import tls
from api.serving import serving
from authority import services
from authority.models import Certificate, CertificateAuthority, Purpose
from authority.selectors import pins
from clusters.models import Worker
from tests.api.conftest import Ground
from tests.api.worker import act, eventually
from tests.worker.processes import Worker as WorkerProcess

CONTROL = Purpose.CONTROL
NAMES = ["console.example.com", "localhost", "127.0.0.1", "[::1]"]


@pytest.fixture
def own(ground: Ground) -> tls.Own:
    own = tls.Own(NAMES)
    own.renew_if_due()
    return own


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[WorkerProcess]]:
    started: list[WorkerProcess] = []
    yield started
    for process in started:
        process.kill()


def start(ground: Ground, port: int, pin: str, directory: Path, host: str = "127.0.0.1") -> WorkerProcess:
    environment = {
        "SDM_PROXY_CLUSTER_ACCESS_KEY": ground.key.pk,
        "SDM_PROXY_CLUSTER_SECRET_KEY": ground.secret.reveal(),
        "SDM_APP_DOMAIN": f"{host}:{port}",
        "SDM_APP_CA_PIN": pin,
        "SDM_WORKERS": "1",
    }
    return WorkerProcess(environment, directory / f"{secrets.token_hex(4)}.log")


async def says(worker: WorkerProcess, words: str, times: int = 1) -> None:
    async with asyncio.timeout(20):
        while worker.log.count(words) < times:
            assert worker.process.poll() is None, worker.log
            await asyncio.sleep(0.05)


@pytest.mark.process
def test_a_worker_that_pins_the_authority_joins_and_another_says_why_not(
    ground: Ground, own: tls.Own, processes: list[WorkerProcess], tmp_path: Path
):
    (pin,) = pins(CONTROL)

    async def scene() -> None:
        async with serving("127.0.0.1:0", own) as port:
            processes.append(good := start(ground, port, f"sha256:{pin}", tmp_path, "localhost"))
            processes.append(wrong := start(ground, port, "0" * 64, tmp_path))
            await says(good, "Connected to the control plane")
            await says(wrong, "SDM_APP_CA_PIN names no certificate that 127.0.0.1")
            assert f"the one shown is sha256:{pin}" in wrong.log
            assert "Joined" not in wrong.log

    asyncio.run(scene())
    assert Worker.objects.count() == 1


@pytest.mark.process
def test_a_rotation_cuts_no_worker_off(
    ground: Ground,
    own: tls.Own,
    processes: list[WorkerProcess],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(tls, "LOOK_EVERY", 0.2)
    (first,) = pins(CONTROL)

    async def scene() -> None:
        async with serving("127.0.0.1:0", own) as port:
            processes.append(worker := start(ground, port, first, tmp_path))
            await says(worker, "Connected to the control plane")
            await act(lambda: services.rotation_begin(actor=ground.alice, purpose=CONTROL))
            await eventually(lambda: _knows_the_next(ground), 20)
            await act(lambda: services.rotation_switch(actor=ground.alice, purpose=CONTROL, forced=True))
            second = (await act(lambda: pins(CONTROL)))[1]
            await asyncio.sleep(1)  # the API looks
            processes.append(late := start(ground, port, first, tmp_path))
            await says(late, "its authority was replaced")
            processes.append(new := start(ground, port, second, tmp_path))
            await says(new, "Connected to the control plane")
        # The console starts anew, and everybody has to connect anew.
        async with serving(f"127.0.0.1:{port}", own):
            await says(worker, "Connected to the control plane", 2)
            await says(new, "Connected to the control plane", 2)

    asyncio.run(scene())


def _knows_the_next(ground: Ground) -> bool:
    ground.cluster.refresh_from_db()
    worker = Worker.objects.get()
    return worker.configuration_generation == ground.cluster.configuration_generation >= 2


def test_it_is_renewed_half_way_and_when_another_authority_signs(own: tls.Own, alice: Account):
    own.read()
    own.renew_if_due()
    assert Certificate.objects.count() == 1, "not yet"
    with time_machine.travel(timezone.now() + dt.timedelta(hours=15), tick=True):
        own.renew_if_due()
        assert own.read_if_changed() is not None and own.read_if_changed() is None
    assert Certificate.objects.count() == 2
    services.rotation_begin(actor=alice, purpose=CONTROL)
    own.renew_if_due()
    assert Certificate.objects.count() == 2, "the next one does not sign yet"
    services.rotation_switch(actor=alice, purpose=CONTROL, forced=True)
    own.renew_if_due()
    assert Certificate.objects.order_by("-pk").first().authority.phase == "active"  # type: ignore[union-attr]
    assert {each.spiffe_id.rpartition("/")[2] for each in Certificate.objects.all()} == {"control-plane"}


def test_an_authority_that_has_ended_stops_the_start_with_a_sentence(own: tls.Own, settings):
    settings.API_OWN_CERTIFICATE, settings.API_NAMES = True, NAMES
    with (
        time_machine.travel(timezone.now() + dt.timedelta(days=6 * 365), tick=True),
        pytest.raises(CommandError, match=r"There is no certificate for the API: .*has to be rotated"),
    ):
        call_command("serve_api")
    assert CertificateAuthority.objects.count() == 1


def test_what_goes_wrong_while_it_serves_is_logged_and_tried_again(
    own: tls.Own, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(tls, "LOOK_EVERY", 0.01)

    def fails() -> None:
        raise services.AuthorityExpired("It has to be rotated.")

    monkeypatch.setattr(own, "renew_if_due", fails)

    async def scene() -> None:
        async with serving("127.0.0.1:0", own):
            while caplog.text.count("could not be renewed: It has to be rotated.") < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(scene())
