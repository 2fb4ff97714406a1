from django.urls import path

from audit import log_views, views

app_name = "audit"

urlpatterns = [
    path("audit/activities/", views.activity_list, name="activity-list"),
    path("audit/activities/export/", views.activity_export, name="activity-export"),
    path("audit/activities/<int:pk>/", views.activity_detail, name="activity-detail"),
    path("audit/sessions/", log_views.session_list, name="session-list"),
    path("audit/sessions/export/", log_views.session_export, name="session-export"),
    path("audit/sessions/<str:session_id>/", log_views.session_detail, name="session-detail"),
    path("audit/sessions/<str:session_id>/end/", log_views.session_end, name="session-end"),
    path("audit/queries/", log_views.query_list, name="query-list"),
    path("audit/queries/export/", log_views.query_export, name="query-export"),
    path("audit/queries/<str:query_id>/", log_views.query_detail, name="query-detail"),
]
