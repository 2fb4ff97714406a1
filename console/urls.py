from django.urls import include, path

from console import views

urlpatterns = [
    path("", views.home, name="home"),
    path("", include("accounts.urls")),
    path("", include("authority.urls")),
    path("", include("logins.urls")),
    path("", include("clusters.urls")),
    path("", include("keys.urls")),
    path("", include("resources.urls")),
    path("", include("access.urls")),
    path("", include("audit.urls")),
    path("", include("accounts.sign_in_urls")),
]

handler400 = "console.views.bad_request"
handler403 = "console.views.permission_denied"
handler404 = "console.views.page_not_found"
handler500 = "console.views.server_error"
