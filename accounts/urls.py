from django.urls import path

from accounts import views

app_name = "accounts"

urlpatterns = [
    # For the bearer of a one-time link.
    path("setup/<str:token>/", views.setup, name="setup"),
    path("invitation/<str:token>/", views.invitation_accept, name="invitation-accept"),
    path("new-password/<str:token>/", views.password_set, name="password-set"),
    path("sign-in/forgotten/", views.password_forgotten, name="password-forgotten"),
    # Settings > People
    path("settings/people/", views.account_list, name="account-list"),
    path("settings/people/invitations/new/", views.invitation_create, name="invitation-create"),
    path("settings/people/invitations/<int:pk>/link/", views.invitation_renew, name="invitation-renew"),
    path(
        "settings/people/invitations/<int:pk>/withdrawal/",
        views.invitation_withdraw,
        name="invitation-withdraw",
    ),
    path("settings/people/<str:account_id>/", views.account_detail, name="account-detail"),
    path("settings/people/<str:account_id>/level/", views.account_level, name="account-level"),
    path("settings/people/<str:account_id>/suspension/", views.account_suspend, name="account-suspend"),
    path(
        "settings/people/<str:account_id>/reinstatement/", views.account_reinstate, name="account-reinstate"
    ),
    path(
        "settings/people/<str:account_id>/password-link/",
        views.password_link_create,
        name="password-link-create",
    ),
    path(
        "settings/people/<str:account_id>/second-factor/",
        views.second_factor_remove,
        name="second-factor-remove",
    ),
    path("settings/people/<str:account_id>/token/", views.service_token_renew, name="service-token-renew"),
    # Settings > Service accounts
    path("settings/service-accounts/", views.service_account_list, name="service-account-list"),
    path("settings/service-accounts/new/", views.service_account_create, name="service-account-create"),
    # Settings > Security
    path("settings/security/", views.security, name="security"),
    path("settings/security/name/", views.name_change, name="name-change"),
    path("settings/security/sessions/", views.sessions_end, name="sessions-end"),
]
