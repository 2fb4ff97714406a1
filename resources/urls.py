from django.urls import path

from resources.views import credentials, edit, lists, moves

app_name = "resources"

# A resource's own pages, and, below a cluster's address, its first tab. `slug`, because no id and no kind has
# other characters, and a database may refuse some.
urlpatterns = [
    path("resources/", lists.resource_list, name="resource-list"),
    path("resources/completions/", lists.resource_completions, name="resource-completions"),
    path("resources/clusters/", lists.cluster_suggestions, name="cluster-suggestions"),
    path("resources/moves/", moves.resource_moves, name="resource-moves"),
    path("resources/new/", edit.kind_list, name="kind-list"),
    path("resources/new/<slug:slug>/", edit.resource_create, name="resource-create"),
    path("resources/<slug:resource_id>/", lists.resource_detail, name="resource-detail"),
    path("resources/<slug:resource_id>/health/", lists.resource_health, name="resource-health"),
    path("resources/<slug:resource_id>/check/", edit.resource_check, name="resource-check"),
    path("resources/<slug:resource_id>/edit/", edit.resource_edit, name="resource-edit"),
    path("resources/<slug:resource_id>/deletion/", edit.resource_deletion, name="resource-deletion"),
    path(
        "resources/<slug:resource_id>/credentials/<slug:field>/",
        credentials.credential_replace,
        name="credential-replace",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/",
        lists.cluster_resources,
        name="cluster-resources",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/attachments/",
        moves.cluster_attach,
        name="cluster-attach",
    ),
]
