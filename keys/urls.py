from django.urls import path

from keys import views

app_name = "keys"

# A cluster's Keys tab, below the cluster's own address.
urlpatterns = [
    path("networking/proxy-clusters/<slug:cluster_id>/keys/", views.cluster_keys, name="cluster-keys"),
    path("networking/proxy-clusters/<slug:cluster_id>/keys/new/", views.key_create, name="key-create"),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/keys/<slug:key_id>/arrivals/",
        views.key_arrivals,
        name="key-arrivals",
    ),
    path(
        "networking/proxy-clusters/<slug:cluster_id>/keys/<slug:key_id>/deletion/",
        views.key_deletion,
        name="key-deletion",
    ),
]
