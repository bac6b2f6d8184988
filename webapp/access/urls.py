"""Addresses of the tokens."""

from django.urls import path

from webapp.access import views

urlpatterns = [
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<str:key>/revoke/", views.revoke, name="token-revoke"),
]
