from django.urls import include, path

from benchmarks.admin import site, site_with_filters

urlpatterns = [
    path("admin/", site.urls),
    path("admin-with-filters/", site_with_filters.urls),
    path("", include("console.urls")),
]
