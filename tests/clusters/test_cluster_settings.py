import datetime as dt

import pytest
import time_machine

from accounts.policy import Level
from audit.models import Activity
from clusters.models import Cluster
from tests.clusters.factories import make_cluster
from tests.conftest import sign_in
from tests.people import make_account


@pytest.fixture
def cluster(db):
    return make_cluster("keen-coffee", "10.0.0.21:443", Environment="sandbox")


def settings_url(cluster):
    return f"/networking/proxy-clusters/{cluster.pk}/settings/"


def sent(cluster, **changed):
    return {
        "name": cluster.name,
        "address": cluster.address,
        "tags_key": ["Environment"],
        "tags_value": ["sandbox"],
        "version": cluster.version,
        **changed,
    }


def test_a_renamed_cluster_keeps_its_id_and_address(alice_client, cluster):
    response = alice_client.post(settings_url(cluster), sent(cluster, name="calm-tea"), follow=True)
    assert "Saved." in response.content.decode()
    renamed = Cluster.objects.get()
    assert (renamed.pk, renamed.name, renamed.name_folded) == (cluster.pk, "calm-tea", "calm-tea")
    activity = Activity.objects.get(verb="proxy cluster updated")
    assert (activity.before, activity.after) == ({"name": "keen-coffee"}, {"name": "calm-tea"})


def test_tags_are_replaced_as_a_whole(alice_client, cluster):
    alice_client.post(settings_url(cluster), sent(cluster, tags_key=["Team", ""], tags_value=["blue", ""]))
    assert [str(tag) for tag in cluster.tags.all()] == ["Team=blue"]


def test_saving_without_a_difference_changes_and_records_nothing(alice_client, cluster):
    response = alice_client.post(settings_url(cluster), sent(cluster), follow=True)
    assert "nothing was changed" in response.content.decode()
    assert Cluster.objects.get().version == 1
    assert not Activity.objects.filter(verb="proxy cluster updated").exists()


def test_the_later_of_two_administrators_is_told_what_changed(alice_client, cluster):
    dora_client = sign_in(make_account("Dora", Level.ADMIN))
    dora_client.post(settings_url(cluster), sent(cluster, name="dora-was-here"))
    response = alice_client.post(settings_url(cluster), sent(cluster, name="alice-was-here"))
    page = response.content.decode()
    assert response.status_code == 409
    assert "dora@example.com" in page
    assert "dora-was-here" in page
    assert response.context["form"]["name"].value() == "alice-was-here"
    assert Cluster.objects.get().name == "dora-was-here"
    # Sent again from that page, it is meant.
    again = sent(cluster, name="alice-was-here", version=response.context["form"]["version"].value())
    assert alice_client.post(settings_url(cluster), again).status_code == 302
    assert Cluster.objects.get().name == "alice-was-here"


def test_another_clusters_name_cannot_be_taken(alice_client, cluster):
    make_cluster("calm-tea")
    response = alice_client.post(settings_url(cluster), sent(cluster, name="CALM-tea"))
    assert response.status_code == 422
    assert "Another proxy cluster has this name" in str(response.context["form"].errors["name"])


def test_a_cluster_may_change_the_case_of_its_own_name(alice_client, cluster):
    assert alice_client.post(settings_url(cluster), sent(cluster, name="Keen-Coffee")).status_code == 302
    assert Cluster.objects.get().name == "Keen-Coffee"


@pytest.mark.parametrize("version", ["", "x", "-1", "99999999999999999999", "\0"])
def test_a_version_that_makes_no_sense_changes_nothing(alice_client, cluster, version):
    response = alice_client.post(settings_url(cluster), sent(cluster, name="other", version=version))
    assert response.status_code in (409, 422)
    assert Cluster.objects.get().name == "keen-coffee"


def test_the_auditor_sees_settings_and_changes_nothing(bob_client, charlie_client, cluster):
    page = bob_client.get(settings_url(cluster)).content.decode()
    assert "Save" not in page
    assert "Delete proxy cluster" not in page
    assert bob_client.post(settings_url(cluster), sent(cluster, name="x")).status_code == 403
    assert bob_client.post(settings_url(cluster) + "windows/", {}).status_code == 403
    assert charlie_client.get(settings_url(cluster)).status_code == 403
    assert Cluster.objects.get().name == "keen-coffee"


@pytest.mark.parametrize("cluster_id", ["n-0000000000000000", "x", "%00", "n-%E2%98%95", "a" * 5000])
def test_an_unknown_cluster_is_not_found(alice_client, db, cluster_id):
    for tab in ("settings", "workers", "keys", "head", "deletion"):
        assert alice_client.get(f"/networking/proxy-clusters/{cluster_id}/{tab}/").status_code == 404


# --- Maintenance windows ---


def windows(cluster, *rows):
    return {
        "schedule": [schedule for schedule, _ in rows],
        "idle": [idle for _, idle in rows],
        "version": cluster.version,
    }


@time_machine.travel(dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC), tick=False)
def test_windows_show_the_next_times_they_open(alice_client, cluster):
    url = settings_url(cluster) + "windows/"
    response = alice_client.post(
        url, windows(cluster, ("* 7 * * 0,6", "no"), ("0-29 3 * * *", "yes")), follow=True
    )
    page = response.content.decode()
    assert "Sat 21 Nov 07:00–08:00 UTC" in page
    assert "Sun 22 Nov 07:00–08:00 UTC" in page
    assert "Sat 28 Nov 07:00–08:00 UTC" in page
    assert "Sat 21 Nov 03:00–03:30 UTC" in page
    activity = Activity.objects.get(entity_id=cluster.pk, outcome="done")
    assert activity.after == {"windows": ["* 7 * * 0,6", "0-29 3 * * * when idle"]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("* 7 * *", "no")], "five fields"),
        ([("* 7 1 * *", "no")], "must be “*”"),
        ([("* 25 * * *", "no")], "no hour"),
        ([("@daily", "no")], "five fields"),
        ([("* 7 * * 0", "no"), ("nonsense", "no")], "“nonsense”: A schedule has five fields"),
        ([("* 7 * * 0", "yes")], "must be forced"),
        ([(f"{n} 7 * * 0", "no") for n in range(11)], "at most 10"),
        ([("<script> * * * *", "no")], "no minute"),
        ([("9" * 100_000, "no")], "at most 100"),
        ([("\0 7 * * *", "no")], "no minute"),
    ],
)
def test_what_is_no_window_is_said_and_kept(alice_client, cluster, rows, message):
    response = alice_client.post(settings_url(cluster) + "windows/", windows(cluster, *rows))
    assert response.status_code == 422
    assert message in "".join(response.context["windows_form"].errors["windows"])
    assert not cluster.maintenance_windows.exists()


def test_windows_can_be_removed_again(alice_client, cluster):
    url = settings_url(cluster) + "windows/"
    alice_client.post(url, windows(cluster, ("* 7 * * 0,6", "no")))
    cluster.refresh_from_db()
    alice_client.post(url, windows(cluster))
    assert not cluster.maintenance_windows.exists()


def test_windows_saved_over_another_change_are_a_conflict(alice_client, cluster):
    alice_client.post(settings_url(cluster), sent(cluster, name="other"))
    response = alice_client.post(settings_url(cluster) + "windows/", windows(cluster, ("* 7 * * 0,6", "no")))
    assert response.status_code == 409
    assert not cluster.maintenance_windows.exists()


def test_a_cluster_that_was_deleted_meanwhile_is_not_found(alice_client, cluster, monkeypatch):
    """Deleted after the page found it and before the change is written."""
    stale = Cluster.objects.get(pk=cluster.pk)
    cluster.delete()
    monkeypatch.setattr("clusters.selectors.cluster_or_404", lambda *args: stale)
    assert alice_client.post(settings_url(stale), sent(stale, name="other")).status_code == 404
    assert alice_client.post(settings_url(stale) + "windows/", windows(stale)).status_code in (302, 404)
    deletion = alice_client.post(f"/networking/proxy-clusters/{stale.pk}/deletion/")
    assert deletion.status_code == 302
    assert not Activity.objects.filter(verb="proxy cluster deleted").exists()
