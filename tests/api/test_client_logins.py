"""Somebody logs in on a machine, which calls as theirs until the login ends: and nobody else does."""

import asyncio
import dataclasses
import datetime as dt
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Account
from accounts.service_accounts import service_account_create, service_token_renew
from accounts.services import account_reinstate, account_suspend, sessions_end
from audit.models import Activity
from audit.verbs import Verb
from authority.models import Certificate
from logins.models import ClientLogin, PendingLogin
from logins.services import logins_sweep
from resources.models import Resource
from sdm.contract.reasons import Reason
from sdm.contract.v1 import clients_pb2 as pb
from sdm.pki import profiles
from tests.api.client import SimulatedClient, decide
from tests.api.conftest import Ground
from tests.api.leasing import joined
from tests.api.worker import act, refusal

# --- Logging in ---


def test_a_person_approves_and_the_machine_gets_a_certificate_once(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        begun = await client.begin()
        assert begun.url.endswith(f"/login/device/{begun.login_id}/")
        assert len(begun.code) == 9 and set(begun.code) <= set("BCDFGHJKMNPQRSTVWXZ-")
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_PENDING
        assert (await client.finish(begun, secret="guessed")).state == pb.LOGIN_STATE_EXPIRED
        assert await act(lambda: decide(charlie, begun.login_id))
        assert not await act(lambda: decide(ground.alice, begun.login_id))  # it is decided
        answer = await client.finish(begun)
        assert answer.state == pb.LOGIN_STATE_APPROVED
        assert answer.person.email == "charlie@example.com"
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_EXPIRED

    ground.run(scene)
    login = ClientLogin.objects.get()
    assert (login.account, login.host_name, login.source_address) == (charlie, "notebook-7", "127.0.0.1")
    assert login.ends_at - login.created_at == pytest.approx(
        dt.timedelta(days=7), abs=dt.timedelta(seconds=5)
    )
    assert not PendingLogin.objects.exists()
    approved = Activity.objects.get(verb=Verb.LOGIN_APPROVED)
    assert (approved.actor, (approved.after or {})["machine"]) == (charlie, "notebook-7")


def test_denied_expired_and_never_begun(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        begun = await client.begin()
        await act(lambda: decide(charlie, begun.login_id, approve=False))
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_DENIED
        begun = await client.begin()
        await act(lambda: PendingLogin.objects.update(expires_at=timezone.now()))
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_EXPIRED
        found = await client.finish(begun, login_id="lg-0123456789abcdef")
        assert found.state == pb.LOGIN_STATE_EXPIRED
        for hostile in ("", "lg-\0", "x" * 10_000, "../../etc/passwd"):
            call = client.finish(begun, login_id=hostile)
            assert (await refusal(call))[0] is Reason.BAD_REQUEST

    ground.run(scene)
    assert Activity.objects.filter(verb=Verb.LOGIN_DENIED, actor=charlie).count() == 1


def test_a_bad_request_does_not_use_up_the_approval(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        begun = await client.begin()
        await act(lambda: decide(charlie, begun.login_id))
        for csr in (b"", b"\0", b"x" * 100_000):
            assert (await refusal(client.finish(begun, certificate_request=csr)))[0] is Reason.BAD_REQUEST
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_APPROVED

    ground.run(scene)


def test_who_was_suspended_after_approving_gets_nothing(ground: Ground, charlie: Account):
    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        begun = await client.begin()
        await act(lambda: decide(charlie, begun.login_id))
        await act(lambda: account_suspend(actor=ground.alice, account=charlie))
        await act(lambda: account_reinstate(actor=ground.alice, account=charlie))
        assert (await client.finish(begun)).state == pb.LOGIN_STATE_DENIED

    ground.run(scene)
    assert not ClientLogin.objects.exists()


def test_only_so_many_wait_and_poll(ground: Ground, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("logins.services.PENDING_FROM_NETWORK", 3)

    async def scene(ground: Ground) -> list[Any]:
        client = SimulatedClient.at(ground.port)
        begun, *_ = [await client.begin() for _ in range(3)]
        assert (await refusal(client.begin()))[0] is Reason.TOO_MANY
        return await asyncio.gather(*(client.finish(begun) for _ in range(120)), return_exceptions=True)

    found = ground.run(scene)
    assert len([answer for answer in found if not isinstance(answer, Exception)]) == 90


def test_a_service_account_logs_in_by_its_token(ground: Ground):
    issued = service_account_create(actor=ground.alice, name="ci-runner")

    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        for wrong in ("", "sdmst_wrong", issued.token[:-1], "x" * 100_000, issued.token + "\0"):
            assert (await refusal(client.with_token(wrong)))[0] is Reason.BAD_TOKEN
        answer = await client.with_token(issued.token)
        assert (answer.person.email, answer.person.name) == ("ci-runner@service", "ci-runner")
        await client.renew()
        # A new token ends what the old one began.
        renewed = await act(lambda: service_token_renew(actor=ground.alice, account=issued.account))
        assert (await refusal(client.renew()))[0] is Reason.NOT_LOGGED_IN
        assert (await refusal(client.with_token(issued.token)))[0] is Reason.BAD_TOKEN
        await client.with_token(renewed.token)
        await act(lambda: account_suspend(actor=ground.alice, account=issued.account))
        assert (await refusal(client.with_token(renewed.token)))[0] is Reason.BAD_TOKEN

    ground.run(scene)
    assert Activity.objects.filter(verb=Verb.LOGIN_FAILED).count() == 1  # and not once for each
    assert Activity.objects.filter(verb=Verb.LOGGED_IN, actor=issued.account).count() == 2


# --- While it stands ---


def test_a_proof_is_good_for_one_call_and_of_a_client_alone(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> None:
        client, worker = SimulatedClient.at(ground.port), await joined(ground)
        await client.log_in(charlie)
        request = pb.GetTicketRequest(resource_id=resource.pk)
        proof = client.metadata("GetTicket", request)
        await client.stub.GetTicket(request, metadata=proof)
        again = client.stub.GetTicket(request, metadata=proof)
        assert (await refusal(again))[0] is Reason.BAD_PROOF
        bare = client.stub.GetTicket(request)
        assert (await refusal(bare))[0] is Reason.BAD_PROOF
        for_another = client.stub.GetTicket(request, metadata=client.metadata("Renew", request))
        assert (await refusal(for_another))[0] is Reason.BAD_PROOF
        # A worker's certificate is none of a client, nor the other way.
        client.certificate, client.key = worker.certificate, worker.key
        assert (await refusal(client.ticket(resource.pk)))[0] is Reason.NOT_LOGGED_IN

    ground.run(scene)


def test_a_renewed_certificate_is_of_the_same_login_and_logging_out_ends_this_machine_alone(
    ground: Ground, charlie: Account, resource: Resource
):
    async def scene(ground: Ground) -> None:
        client, other = SimulatedClient.at(ground.port), SimulatedClient.at(ground.port, host_name="desk-1")
        await client.log_in(charlie)
        await other.log_in(charlie)
        first = client.thumbprint
        await client.renew()
        assert client.thumbprint != first
        assert await act(ClientLogin.objects.count) == 2
        await client.log_out()
        for call in (client.ticket(resource.pk), client.renew(), client.log_out()):
            assert (await refusal(call))[0] is Reason.NOT_LOGGED_IN
        await other.ticket(resource.pk)

    ground.run(scene)
    assert Certificate.objects.revoked().filter(subject_id=charlie.pk).count() == 2
    assert Certificate.objects.live().filter(subject_id=charlie.pk).count() == 1
    assert Activity.objects.filter(verb=Verb.LOGGED_OUT, actor=charlie).count() == 1


def test_a_machine_that_slept_renews_an_expired_certificate_until_its_login_ends(
    ground: Ground, charlie: Account, resource: Resource, monkeypatch: pytest.MonkeyPatch
):
    expired = dt.timedelta(seconds=-1)

    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        short = dataclasses.replace(profiles.CLIENT, lifetime=dt.timedelta(seconds=1))
        with monkeypatch.context() as patched:
            patched.setitem(profiles.PROFILES, short.kind, short)
            await client.log_in(charlie)
        await asyncio.sleep(1.1)
        assert (await refusal(client.ticket(resource.pk)))[0] is Reason.CERTIFICATE_EXPIRED
        await client.renew()
        await client.ticket(resource.pk)
        await act(lambda: ClientLogin.objects.update(ends_at=timezone.now() + expired))
        reason, words = await refusal(client.renew())
        assert reason is Reason.NOT_LOGGED_IN
        assert "ended at" in words

    ground.run(scene)


@pytest.mark.parametrize("how", ["suspended", "signed out everywhere"])
def test_what_ends_the_sessions_of_a_person_ends_their_machines_for_good(
    ground: Ground, charlie: Account, resource: Resource, how: str
):
    def end() -> None:
        if how == "suspended":
            account_suspend(actor=ground.alice, account=charlie)
        else:
            sessions_end(actor=charlie)

    async def scene(ground: Ground) -> None:
        client = SimulatedClient.at(ground.port)
        await client.log_in(charlie)
        await act(end)
        assert (await refusal(client.ticket(resource.pk)))[0] is Reason.NOT_LOGGED_IN
        if how == "suspended":
            await act(lambda: account_reinstate(actor=ground.alice, account=charlie))
        assert (await refusal(client.renew()))[0] is Reason.NOT_LOGGED_IN
        await act(logins_sweep)

    ground.run(scene)
    assert not ClientLogin.objects.standing().exists()
    assert ClientLogin.objects.get().ended_at is not None
    # Workers hear of it as well.
    assert Certificate.objects.revoked().filter(subject_id=charlie.pk).count() == 1
