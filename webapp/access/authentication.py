"""Who sends a token."""

from __future__ import annotations

from typing import Any

import knox.auth
from django.utils import timezone
from drf_spectacular.contrib.knox_auth_token import KnoxTokenScheme
from rest_framework.exceptions import AuthenticationFailed


class TokenAuthentication(knox.auth.TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """Knox's; but a call looks at its own token alone, and a token that is no text is a wrong one.

    Expired tokens let nobody in; they are deleted when their person makes a new one.
    """

    def authenticate_credentials(self, token: bytes) -> Any:
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)

    def _cleanup_token(self, auth_token: Any) -> bool:
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()


class TokenScheme(KnoxTokenScheme):  # type: ignore[no-untyped-call]
    """The same in the OpenAPI description."""

    target_class = TokenAuthentication  # type: ignore[assignment]
