"""A PACS beside the web: `dicomweb-client`, whose requests are answered in this process."""

from __future__ import annotations

import io
import json
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from django.contrib.auth.models import User
from requests.adapters import BaseAdapter
from rest_framework.test import APIClient


class _ToDjango(BaseAdapter):
    def __init__(self, user: User) -> None:
        super().__init__()
        self.client = APIClient()
        self.client.force_login(user)

    def send(self, request: Any, **_: Any) -> requests.Response:
        body = request.body or b""
        body = body if isinstance(body, bytes) else b"".join(body)
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in request.headers.items()}
        headers = {name: value for name, value in headers.items() if name not in {"HTTP_HOST", "HTTP_CONTENT_TYPE"}}
        kind = request.headers.get("Content-Type", "")
        answer = self.client.generic(request.method, request.path_url, body, content_type=kind, **headers)
        response = requests.Response()
        response.status_code, response.url, response.request = answer.status_code, request.url, request
        response.headers.update(answer.headers)
        content = b"".join(answer.streaming_content) if answer.streaming else answer.content
        response.raw = io.BytesIO(content)
        return response

    def close(self) -> None:
        pass


def pacs(user: User, study: int) -> DICOMwebClient:
    """A client for a study of ours, as somebody."""
    session = requests.Session()
    session.mount("http://", _ToDjango(user))
    return DICOMwebClient(f"http://testserver/api/v1/dicomweb/{study}", session=session)


def why_not(error: requests.HTTPError) -> tuple[int, list[int]]:
    """Status and failure reasons of instances that were not stored."""
    said = json.loads(error.response.content)
    return error.response.status_code, [one["00081197"]["Value"][0] for one in said["00081198"]["Value"]]
