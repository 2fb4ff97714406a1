"""Django's own admin over the same rows, for comparison, twice: with nothing but its search field, and with lists of
what can be filtered by, as one has to declare them so that somebody can choose a tag.

Both show less than the console does: no tags, no counts.
"""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from audit.models import Activity
from clusters.models import Cluster
from resources.models import Resource


class Site(admin.AdminSite):
    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_authenticated


class Changelist(admin.ModelAdmin):  # type: ignore[type-arg]  # takes no argument when it runs
    list_per_page = 50

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return True


class ClusterAdmin(Changelist):
    list_display = ["name", "address", "workers_online", "created_at"]
    search_fields = ["name"]
    ordering = ["name_folded"]  # as the console: it has an index


class ResourceAdmin(Changelist):
    list_display = ["name", "kind", "hostname", "cluster", "healthy", "created_at"]
    list_select_related = ["cluster"]
    search_fields = ["name"]
    ordering = ["name_folded"]


class ActivityAdmin(Changelist):
    list_display = ["created_at", "actor_name", "verb", "entity_name", "outcome"]
    ordering = ["-created_at"]


class ClusterAdminWithFilters(ClusterAdmin):
    list_filter = ["tags__key", "tags__value"]


class ResourceAdminWithFilters(ResourceAdmin):
    list_filter = ["kind", "healthy", "tags__key", "tags__value"]


class ActivityAdminWithFilters(ActivityAdmin):
    list_filter = ["verb", "outcome"]


site = Site(name="admin")
site.register(Cluster, ClusterAdmin)
site.register(Resource, ResourceAdmin)
site.register(Activity, ActivityAdmin)

site_with_filters = Site(name="admin-with-filters")
site_with_filters.register(Cluster, ClusterAdminWithFilters)
site_with_filters.register(Resource, ResourceAdminWithFilters)
site_with_filters.register(Activity, ActivityAdminWithFilters)
