"""Addresses of signing in, and of a person's account."""

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from webapp.access import views
from webapp.access.sign_in import SignInForm

_login = LoginView.as_view(
    template_name="login.html",
    authentication_form=SignInForm,
    redirect_authenticated_user=True,
    extra_context={"mail": views.has_mail(), "provider": settings.OIDC_NAME if settings.OIDC_ISSUER else ""},
)

urlpatterns = [
    path("login/", _login, name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/login/", views.admin_login, name="admin-login"),
    path("password/", views.PasswordChange.as_view(), name="password-change"),
    path("password/reset/", views.PasswordReset.as_view(), name="password-reset"),
    path("password/reset/<uidb64>/<token>/", views.PasswordResetConfirm.as_view(), name="password-reset-confirm"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<str:key>/revoke/", views.revoke, name="token-revoke"),
]
