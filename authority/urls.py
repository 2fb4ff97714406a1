from django.urls import path

from authority import views

app_name = "authority"

# Settings > Certificates. `purpose` is worker or client.
urlpatterns = [
    path("settings/certificates/", views.authority_list, name="authority-list"),
    path("settings/certificates/<slug:purpose>.pem", views.trusted_download, name="trusted-download"),
    path(
        "settings/certificates/<slug:purpose>/rotation/<slug:step>/",
        views.rotation_step,
        name="rotation-step",
    ),
]
