from __future__ import annotations

from django.contrib import admin
from knox.models import AuthToken

# Tokens are made and revoked by their owners, on their page; an administrator ends them with the password.
admin.site.unregister(AuthToken)
