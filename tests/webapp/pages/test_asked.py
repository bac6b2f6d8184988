"""What an address asks for that cannot be: a page that says so, or the page without it, never an error."""

from __future__ import annotations

import pytest
from django.test import Client


@pytest.mark.parametrize("asked", ["abc", "²", "9" * 30, "-1", "%20", "00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize(
    "address",
    ["/models/removal/?slide=", "/models/removal/?labelled_set=", "/models/removal/?removal=", "/models/mining/?most=",
     "/models/mining/?study=", "/imports/?page=", "/imports/?state=", "/imports/?search=", "/slides/?page=",
     "/audit/?page="],
)  # fmt: skip
def test_no_value_is_an_error(root, address, asked):
    client = Client(raise_request_exception=False)
    client.force_login(root)
    assert client.get(address + asked).status_code in {200, 404}
