"""Addresses of signing in, and of a person's account."""

from django.contrib.auth.views import LogoutView
from django.urls import path
from django.views.generic import RedirectView

from webapp.access import second_factor_page, sign_in_views, views

urlpatterns = [
    path("login/", sign_in_views.SignIn.as_view(), name="login"),
    path("login/second/", sign_in_views.second_step, name="second-step"),
    path("login/passkey/", sign_in_views.passkey_shown, name="passkey-shown"),
    path("login/passkey/asked/", sign_in_views.passkey_asked, name="passkey-asked"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/login/", views.admin_login, name="admin-login"),
    path("admin/password_change/", RedirectView.as_view(pattern_name="password-change"), name="admin-password-change"),
    path("password/", views.PasswordChange.as_view(), name="password-change"),
    path("password/reset/", views.PasswordReset.as_view(), name="password-reset"),
    path("password/reset/<uidb64>/<token>/", views.PasswordResetConfirm.as_view(), name="password-reset-confirm"),
    path("password/invitation/<uidb64>/<token>/", views.Invitation.as_view(), name="invitation"),
    path("second-factor/", second_factor_page.second_factor, name="second-factor"),
    path("second-factor/passkey/", second_factor_page.passkey_new, name="passkey-new"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<str:key>/revoke/", views.revoke, name="token-revoke"),
]
