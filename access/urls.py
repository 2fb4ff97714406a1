from django.urls import path

from access.views import explained, grants, roles, rules

app_name = "access"

# Access > Roles and Temporary access; and, below their own addresses, a tab of each resource and each person.
urlpatterns = [
    path("access/roles/", roles.role_list, name="role-list"),
    path("access/roles/completions/", roles.role_completions, name="role-completions"),
    path("access/roles/new/", roles.role_create, name="role-create"),
    path("access/roles/<slug:role_id>/", rules.role_rules, name="role-rules"),
    path("access/roles/<slug:role_id>/rules/new/", rules.rule_create, name="rule-create"),
    path("access/roles/<slug:role_id>/rules/new/preview/", rules.rule_preview, name="rule-create-preview"),
    path("access/roles/<slug:role_id>/rules/<slug:rule_id>/", rules.rule_edit, name="rule-edit"),
    path(
        "access/roles/<slug:role_id>/rules/<slug:rule_id>/preview/",
        rules.rule_preview,
        name="rule-edit-preview",
    ),
    path("access/roles/<slug:role_id>/rules/<slug:rule_id>/removal/", rules.rule_remove, name="rule-remove"),
    path("access/roles/<slug:role_id>/members/", roles.role_members, name="role-members"),
    path(
        "access/roles/<slug:role_id>/members/<slug:attachment_id>/removal/",
        roles.member_remove,
        name="member-remove",
    ),
    path("access/roles/<slug:role_id>/settings/", roles.role_settings, name="role-settings"),
    path("access/roles/<slug:role_id>/deletion/", roles.role_deletion, name="role-deletion"),
    path("access/grants/", grants.grant_list, name="grant-list"),
    path("access/grants/past/", grants.grant_past, name="grant-past"),
    path("access/grants/new/", grants.grant_create, name="grant-create"),
    path("access/grants/<slug:grant_id>/end/", grants.grant_end, name="grant-end"),
    path("access/suggestions/people/", explained.person_suggestions, name="person-suggestions"),
    path("access/suggestions/resources/", explained.resource_suggestions, name="resource-suggestions"),
    path("access/suggestions/roles/", explained.role_suggestions, name="role-suggestions"),
    path("resources/<slug:resource_id>/access/", explained.resource_access, name="resource-access"),
    path("settings/people/<slug:account_id>/access/", explained.person_access, name="person-access"),
]
