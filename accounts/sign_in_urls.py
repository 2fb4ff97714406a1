"""Sign-in, second factors and passwords by allauth, under the names it knows them by.

Mounted one by one: sign-up, e-mail addresses and whatever else allauth could do stay out of reach.
"""

from allauth.account import views as account
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as keys
from django.urls import path
from django.views.decorators.cache import never_cache

from accounts import views
from accounts.reauthentication import tells_to_go_on

urlpatterns = [
    path("sign-in/", account.login, name="account_login"),
    path("sign-in/security-key/", keys.login_webauthn, name="mfa_login_webauthn"),
    path("sign-in/second-factor/", mfa.authenticate, name="mfa_authenticate"),
    path("sign-in/suspended/", account.account_inactive, name="account_inactive"),
    path("sign-out/", account.logout, name="account_logout"),
    # Who is at the keyboard right now?
    path("confirm/", tells_to_go_on(account.reauthenticate), name="account_reauthenticate"),
    path("confirm/code/", tells_to_go_on(mfa.reauthenticate), name="mfa_reauthenticate"),
    path("confirm/security-key/", tells_to_go_on(views.confirm_with_key), name="mfa_reauthenticate_webauthn"),
    # Below Settings > Security. allauth returns to the first two, which are that page; what shows a secret
    # stays out of the browser's cache.
    path("settings/security/", views.security, name="mfa_index"),
    path("settings/security/", views.security, name="mfa_list_webauthn"),
    path("settings/security/password/", account.password_change, name="account_change_password"),
    path("settings/security/app/", never_cache(totp.activate_totp), name="mfa_activate_totp"),
    path("settings/security/app/removal/", totp.deactivate_totp, name="mfa_deactivate_totp"),
    path("settings/security/keys/new/", views.add_key, name="mfa_add_webauthn"),
    path("settings/security/keys/<int:pk>/name/", keys.edit_webauthn, name="mfa_edit_webauthn"),
    path("settings/security/keys/<int:pk>/removal/", keys.remove_webauthn, name="mfa_remove_webauthn"),
    path("settings/security/codes/", never_cache(codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("settings/security/codes/new/", codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
]
