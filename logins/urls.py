from django.urls import path

from logins import views

app_name = "logins"

# `slug`, because no id has other characters.
urlpatterns = [
    # Where `sdm login` sends people.
    path("login/device/<slug:login_id>/", views.approval, name="approval"),
    path("login/device/<slug:login_id>/approval/", views.approved, name="approved"),
    path("login/device/<slug:login_id>/denial/", views.denied, name="denied"),
]
