from django.urls import path

from clusters import views, worker_views

app_name = "clusters"

# All below /networking/proxy-clusters/. The Resources and Keys tabs are the resources' and keys' own.
urlpatterns = [
    path("networking/proxy-clusters/", views.cluster_list, name="cluster-list"),
    path("networking/proxy-clusters/completions/", views.cluster_completions, name="cluster-completions"),
    path("networking/proxy-clusters/new/", views.cluster_create, name="cluster-create"),
    path("networking/proxy-clusters/<slug:cluster_id>/head/", views.cluster_head, name="cluster-head"),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/workers/", views.cluster_workers, name="cluster-workers"
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/workers/<slug:worker_id>/disconnection/",
        worker_views.worker_disconnection,
        name="worker-disconnection",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/workers/<slug:worker_id>/restart/",
        worker_views.worker_restart,
        name="worker-restart",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/workers/<slug:worker_id>/restart/withdrawal/",
        worker_views.worker_restart_withdrawal,
        name="worker-restart-withdrawal",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/workers/<slug:worker_id>/forgetting/",
        worker_views.worker_forgetting,
        name="worker-forgetting",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/reach/", worker_views.cluster_reach, name="cluster-reach"
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/settings/",
        views.cluster_settings,
        name="cluster-settings",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/settings/windows/",
        views.cluster_windows,
        name="cluster-windows",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/deletion/",
        views.cluster_deletion,
        name="cluster-deletion",
    ),
]
