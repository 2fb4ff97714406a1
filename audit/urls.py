from django.urls import path

from audit import views

app_name = "audit"

urlpatterns = [
    path("audit/activities/", views.activity_list, name="activity-list"),
    path("audit/activities/export/", views.activity_export, name="activity-export"),
    path("audit/activities/<int:pk>/", views.activity_detail, name="activity-detail"),
]
