import pytest
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path

from accounts.models import Account
from audit.context import Source, acting_from
from audit.middleware import client_address
from audit.models import Activity
from audit.refusals import A_MINUTE_AT_MOST, record_refusal
from audit.selectors import changes_since
from audit.services import MAX_VALUE, PermissionRequired, changes, record, require
from audit.verbs import Verb
from clusters.models import Cluster
from console.urls import handler403  # noqa: F401  # handler403 is Django's name
from console.urls import urlpatterns as console_urls
from tests.conftest import sign_in


def forbidden(request: HttpRequest) -> HttpResponse:
    with transaction.atomic():
        record(actor=request.user, verb=Verb.SIGNED_IN)
        raise PermissionDenied("not on a Sunday")


urlpatterns = [*console_urls, path("forbidden/", forbidden)]


def test_an_activity_keeps_who_what_and_where_from(alice: Account):
    with acting_from(Source("10.1.2.3", "curl/8")):
        activity = record(actor=alice, verb=Verb.LEVEL_CHANGED, entity=alice, after={"level": "user"})
    activity.refresh_from_db()
    assert str(activity) == "alice@example.com changed the level of their own account"
    assert (activity.source_address, activity.user_agent) == ("10.1.2.3", "curl/8")
    assert (activity.entity_type, activity.entity_id, activity.entity_name) == ("account", alice.pk, "Alice")


def test_what_nobody_did_was_done_by_a_command_or_by_somebody(db: None):
    assert str(record(actor=None, verb=Verb.SECRETS_RESEALED)).startswith("The command line sealed")
    with acting_from(Source("10.0.0.1")):
        failed = record(actor=None, verb=Verb.SIGN_IN_FAILED, entity_name="x@example.com")
    assert str(failed) == "Somebody failed to sign in as x@example.com"


@pytest.mark.parametrize("source", [Source(), Source("10.0.0.1", "sdm 1.0")])
@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        (Verb.WORKER_JOINED, "A worker joined proxy cluster x"),
        (Verb.WORKER_REFUSED, "The console refused a worker that came with key x"),
        (Verb.AUTHORITY_CREATED, "The console made certificate authority x"),
        (Verb.TICKET_KEY_CREATED, "The console made ticket key x"),
        (Verb.CERTIFICATES_REVOKED, "The console revoked the certificates of x"),
    ],
)
def test_what_no_person_does_names_what_does_it(alice: Account, source: Source, verb: Verb, sentence: str):
    with acting_from(source):
        assert str(record(actor=None, verb=verb, entity_name="x")) == sentence
        by_alice = record(actor=alice, verb=verb, entity_name="x")
    assert by_alice.who == alice.email


def test_a_verb_that_is_not_in_the_vocabulary_is_a_mistake(alice: Account):
    with pytest.raises(ValueError, match="proxy cluster eaten"):
        record(actor=alice, verb="proxy cluster eaten")  # type: ignore[arg-type]
    assert not Activity.objects.exists()


def test_every_verb_has_a_sentence_and_fits_its_column():
    for verb in Verb:
        assert verb.phrase
        assert len(verb) <= 64


@pytest.mark.parametrize("text", ["\0", "\ud800", "a" * 1_000_000, "\u202e", "🦊", "\r\n\x1b[2J"])
def test_hostile_text_is_recorded_whatever_the_database(alice: Account, text: str):
    with acting_from(Source(None, text)):
        activity = record(
            actor=alice,
            verb=Verb.RESOURCE_UPDATED,
            entity_name=text,
            before={text[:9]: [text]},
            after={"a": text},
        )
    activity.refresh_from_db()
    assert activity.after is not None
    assert len(activity.after["a"]) < MAX_VALUE + 100


def test_a_value_that_was_cut_says_so(alice: Account):
    activity = record(actor=alice, verb=Verb.RESOURCE_UPDATED, after={"a": "x" * 5_000})
    assert activity.after == {"a": "x" * MAX_VALUE + "… (cut; 5,000 characters)"}


def test_changes_keep_only_what_differs():
    assert changes({"a": 1, "b": 2}, {"a": 1, "b": 3}) == ({"b": 2}, {"b": 3})


def test_a_late_editor_is_told_what_changed(alice: Account):
    cluster = Cluster.objects.create(name="x", name_folded="x", address="a:1", host="a")
    record(actor=alice, verb=Verb.CLUSTER_CREATED, entity=cluster)
    updates = [record(actor=alice, verb=Verb.CLUSTER_UPDATED, entity=cluster) for _ in range(3)]
    assert changes_since(cluster.pk, 2) == [updates[2], updates[1]]
    assert changes_since(cluster.pk, 9) == updates[::-1]
    assert changes_since(cluster.pk, 0) == changes_since(cluster.pk, -1) == changes_since("n-0", 5) == []


# --- Refusals --------------------------------------------------------------------------------------


def test_a_refusal_names_what_was_missing_and_is_recorded_once(charlie_client: Client, charlie: Account):
    response = charlie_client.post("/audit/activities/export/?q=secret", {"format": "csv"})
    assert response.status_code == 403
    denial = Activity.objects.get()
    assert (denial.actor, denial.outcome, denial.verb) == (charlie, "denied", "permission denied")
    assert (denial.entity_name, denial.after) == (
        "POST /audit/activities/export/",
        {"permission": "audit.view"},
    )


@override_settings(ROOT_URLCONF="tests.audit.test_recording")
def test_a_refusal_outlives_the_change_that_was_rolled_back(alice_client: Client):
    assert alice_client.get("/forbidden/").status_code == 403
    assert [(one.verb, one.after) for one in Activity.objects.all()] == [
        ("permission denied", {"reason": "not on a Sunday"})
    ]


def test_a_path_that_no_database_holds_is_recorded_all_the_same(charlie: Account):
    request = RequestFactory().get("/")
    request.path = "/\0\ud800/"
    request.user = charlie
    record_refusal(request, Verb.PERMISSION_DENIED, reason="\0")
    assert Activity.objects.get().entity_name == r"GET /\x00\ud800/"


def test_a_form_from_elsewhere_is_recorded_for_people_and_not_for_strangers(alice: Account):
    stranger = Client(enforce_csrf_checks=True)
    assert stranger.post("/audit/activities/export/").status_code == 403
    assert not Activity.objects.exists()
    stranger.force_login(alice)
    assert stranger.post("/audit/activities/export/", {"format": "csv"}).status_code == 403
    refusal = Activity.objects.get()
    assert (refusal.actor, refusal.verb, refusal.outcome) == (alice, "request refused", "denied")


def test_a_wrong_method_is_a_mistake_and_no_refusal(alice_client: Client):
    assert alice_client.get("/audit/activities/export/").status_code == 405
    assert not Activity.objects.exists()


def test_a_flood_of_refusals_is_bounded_for_each_person(
    charlie_client: Client, charlie: Account, bob: Account
):
    for _ in range(A_MINUTE_AT_MOST + 5):
        assert charlie_client.get("/audit/activities/").status_code == 403
    rows = list(Activity.objects.order_by("pk"))
    assert len(rows) == A_MINUTE_AT_MOST
    assert rows[-1].after is not None
    assert "more refusals" in rows[-1].after["note"]
    sign_in(bob).post("/networking/proxy-clusters/new/", {})
    assert Activity.objects.filter(actor=bob).count() == 1


def test_require_lets_pass_who_may(alice: Account, bob: Account):
    require(alice, "clusters.change")
    with pytest.raises(PermissionRequired):
        require(bob, "clusters.change")


# --- Where a request comes from ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "expected"),
    [
        (0, "10.0.0.1", "6.6.6.6", "10.0.0.1"),
        (1, "10.0.0.1", "6.6.6.6, 192.0.2.7", "192.0.2.7"),
        (2, "10.0.0.1", "6.6.6.6, 192.0.2.7, 10.0.0.2", "192.0.2.7"),
        (2, "10.0.0.1", "192.0.2.7", "10.0.0.1"),
        (1, "10.0.0.1", "<script>", None),
        (0, "::ffff:10.0.0.1", "", "10.0.0.1"),
        (0, "fe80::1%eth0", "", "fe80::1"),
        (0, "", "", None),
    ],
)
def test_only_as_many_proxies_as_are_trusted_are_believed(
    proxies: int, remote: str, forwarded: str, expected: str | None
):
    request = RequestFactory().get("/", REMOTE_ADDR=remote, headers={"X-Forwarded-For": forwarded})
    with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=proxies):
        assert client_address(request) == expected
