from django.urls import path

from logins import views

app_name = "logins"

# `slug`, because no id has other characters.
urlpatterns = [
    # Where `sdm login` sends people.
    path("login/device/<slug:login_id>/", views.approval, name="approval"),
    path("login/device/<slug:login_id>/approval/", views.approved, name="approved"),
    path("login/device/<slug:login_id>/denial/", views.denied, name="denied"),
    # The machines of somebody, and one's own.
    path("settings/people/<slug:account_id>/machines/", views.devices, name="devices"),
    path("settings/security/machines/", views.own_devices, name="own-devices"),
    path("settings/machines/<slug:device_id>/sign-out/", views.device_sign_out, name="device-sign-out"),
]
