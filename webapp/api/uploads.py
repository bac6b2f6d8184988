"""Resumable upload: tus 1.0 (tus.io), core protocol with creation (with the first bytes, too), expiration, checksum and
termination."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpResponse, UnreadablePostError
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import http_date
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import parsers
from rest_framework.request import Request
from rest_framework.response import Response

from webapp.api.idempotency import Idempotent
from webapp.api.serializers import UploadSerializer
from webapp.core.errors import DomainError, Gone, InvalidInput, TooLarge, TooMany
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.slides.models import Slide, Study, Upload
from webapp.slides.roles import Right, studies_of
from webapp.slides.uploads import Checksum, upload_append, upload_cancel, upload_create, upload_finish

_VERSION = "1.0.0"
_BYTES = "application/offset+octet-stream"
_MOST_SENDING = 300  # connections of a person at each process of the web that send bytes
_sending: Counter[int | None] = Counter()
_counting = threading.Lock()
_ALGORITHMS = ("sha1", "sha256", "md5")


class UnsupportedVersion(DomainError):
    """The client speaks another version of tus."""

    status = 412


class WrongContentType(DomainError):
    """The bytes of an upload have a content type of their own."""

    status = 415


class _Bytes(parsers.BaseParser):
    """Leaves the body where it is, to be read as a stream."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream


class _TusView(Idempotent):
    parser_classes = [_Bytes]

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """A POST may stand for PATCH or DELETE, where a proxy lets no others through (core protocol)."""
        instead = request.headers.get("X-HTTP-Method-Override", "").upper()
        if request.method == "POST" and instead in {"PATCH", "DELETE", "HEAD"}:
            request.method = instead
        return super().dispatch(request, *args, **kwargs)

    def get_permissions(self) -> Sequence[Any]:
        """What this server can do is told to everybody."""
        return [] if self.request.method == "OPTIONS" else super().get_permissions()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if request.method in {"POST", "PATCH"} and request.headers.get("Tus-Resumable") != _VERSION:
            raise UnsupportedVersion(f"Uploads use tus {_VERSION}; send the header Tus-Resumable: {_VERSION}.")

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response["Tus-Resumable"] = _VERSION
        response["Tus-Version"] = _VERSION
        response["Tus-Extension"] = "creation,creation-with-upload,expiration,checksum,termination"
        response["Tus-Max-Size"] = str(settings.MAX_UPLOAD_BYTES)
        response["Tus-Checksum-Algorithm"] = ",".join(_ALGORITHMS)
        response["Cache-Control"] = "no-store"
        return response

    def options(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """The tus capabilities of this server, in headers."""
        return Response(status=204)


class UploadsView(_TusView):
    """Start an upload, or list unfinished ones."""

    @extend_schema(responses=UploadSerializer(many=True))
    def get(self, request: Request) -> HttpResponse:
        """Your unfinished uploads, the newest first."""
        uploads = Upload.objects.visible_to(request.user).unfinished().order_by("-created_at")
        return Response(UploadSerializer(uploads, many=True).data)

    @extend_schema(
        request=None,
        responses={201: None},
        parameters=[
            OpenApiParameter("Tus-Resumable", str, OpenApiParameter.HEADER, required=True, enum=[_VERSION]),
            OpenApiParameter("Upload-Length", int, OpenApiParameter.HEADER, required=True),
            OpenApiParameter(
                "Upload-Metadata",
                str,
                OpenApiParameter.HEADER,
                required=True,
                description="filename, study (its name; your only one by default), case, mpp, detect (true or false); "
                "each followed by its value in base64, separated by commas",
            ),
        ],
    )
    def post(self, request: Request) -> HttpResponse:
        """Begin an upload; `Location` is where its bytes go (PATCH). The first may come with this call."""
        metadata = _metadata(request.headers.get("Upload-Metadata", ""))
        upload = upload_create(
            user=request.user,  # type: ignore[arg-type]
            study=_study(request, metadata.get("study", "")),
            name=metadata.get("filename", ""),
            size=_whole(request, "Upload-Length"),
            case_identifier=metadata.get("case", ""),
            mpp=_mpp(metadata.get("mpp", "")),
            detect=metadata.get("detect", "true") != "false",
        )
        response = HttpResponse(status=201)
        response["Location"] = reverse("api:upload", args=[upload.pk])
        with_bytes = request.content_type == _BYTES
        return _append(request, upload, response, offset=0) if with_bytes else _tell(response, upload)


class UploadView(_TusView):
    """One upload."""

    @extend_schema(responses=UploadSerializer)
    def get(self, request: Request, pk: str) -> HttpResponse:
        """Bytes received and, when complete, the slide. HEAD gives `Upload-Offset` alone, as in tus."""
        upload = self._upload(request, pk)
        if upload.offset == upload.size and upload.slide is None:
            upload.slide = _finish(upload)  # whoever received the last byte died before this
        response = Response(UploadSerializer(upload).data)
        response["Upload-Length"] = str(upload.size)
        response["Upload-Metadata"] = _metadata_of(upload)
        return _tell(response, upload)

    @extend_schema(
        request={"application/offset+octet-stream": bytes},
        responses={204: None},
        parameters=[
            OpenApiParameter("Tus-Resumable", str, OpenApiParameter.HEADER, required=True, enum=[_VERSION]),
            OpenApiParameter("Upload-Offset", int, OpenApiParameter.HEADER, required=True),
            OpenApiParameter(
                "Upload-Checksum",
                str,
                OpenApiParameter.HEADER,
                description=f"{', '.join(_ALGORITHMS)} and the digest of these bytes in base64; 460 where they differ",
            ),
        ],
    )
    def patch(self, request: Request, pk: str) -> HttpResponse:
        """Send bytes from `Upload-Offset` on. After the last one the slide is prepared; `Mitoscope-Slide` is its id."""
        if request.content_type != _BYTES:
            raise WrongContentType(f"Send the bytes as {_BYTES}.")
        upload, offset = self._upload(request, pk), _whole(request, "Upload-Offset")
        return _append(request, upload, HttpResponse(status=204), offset=offset)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: str) -> HttpResponse:
        """Cancel an upload."""
        upload_cancel(upload=self._upload(request, pk))
        return HttpResponse(status=204)

    def _upload(self, request: Request, pk: str) -> Upload:
        upload: Upload = get_object_or_404(Upload.objects.visible_to(request.user), pk=pk)
        if upload.expired:
            raise Gone("This upload has expired; send the file again.")
        return upload


@contextlib.contextmanager
def _one_more(person: int | None) -> Iterator[None]:
    """Count an open connection of a person, by whichever of their tokens."""
    with _counting:
        if _sending[person] >= _MOST_SENDING:
            raise TooMany(f"You send {_MOST_SENDING} uploads at once; go on with this one when another is done.")
        _sending[person] += 1
    try:
        yield
    finally:
        with _counting:
            _sending[person] -= 1
            if not _sending[person]:
                del _sending[person]


def _append(request: Request, upload: Upload, response: HttpResponse, *, offset: int) -> HttpResponse:
    """Add the body of a request to an upload, and tell how far it is."""
    more = int(request.headers.get("Content-Length") or 0)
    if offset + more > upload.size:
        raise TooLarge(
            f"This upload has {upload.size} bytes, and {more} more after {offset} are too many; nothing was taken. "
            "Begin anew with the right Upload-Length."
        )
    if not (upload.slide_id and offset == upload.size):  # the answer to the last bytes may have got lost
        checksum = _checksum(request.headers.get("Upload-Checksum", ""))
        try:
            with _one_more(request.user.pk):
                upload_append(upload=upload, offset=offset, stream=request._request, checksum=checksum)
        except UnreadablePostError:  # the connection broke; what arrived is kept, and nobody is there to be told
            return HttpResponse(status=400)
    if upload.offset == upload.size:
        response["Mitoscope-Slide"] = str(_finish(upload).pk)
    return _tell(response, upload)


def _tell(response: HttpResponse, upload: Upload) -> HttpResponse:
    """How far an upload is, and how long it is kept."""
    response["Upload-Offset"] = str(upload.offset)
    response["Upload-Expires"] = http_date(upload.expires_at.timestamp())
    return response


def _metadata_of(upload: Upload) -> str:
    """Upload-Metadata as it was understood."""
    said = {"filename": upload.name, "study": upload.study.name, "case": upload.case_identifier}
    said |= {"mpp": f"{upload.mpp:g}" if upload.mpp else "", "detect": "true" if upload.detect else "false"}
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items() if value)


def _finish(upload: Upload) -> Slide:
    with transaction.atomic():
        slide = upload_finish(upload=upload)
        with contextlib.suppress(DomainError):  # asked for already, by a PATCH that was sent twice
            if not slide.jobs.exists():
                job_create(kind=Job.Kind.INGEST, slide=slide, by=upload.user)
    return slide


def _study(request: Request, name: str) -> Study:
    """The study of this name; without one the first that the person may upload into."""
    if name:
        study: Study | None = Study.objects.visible_to(request.user).filter(name=name).first()
    else:
        study = next(iter(studies_of(request.user, Right.UPLOAD)), None)
    if study is None:
        raise InvalidInput(
            f"You are {f'in no study called {name}' if name else 'not in any study that you may upload into'}."
        )
    return study


def _metadata(header: str) -> dict[str, str]:
    values = {}
    for pair in filter(None, (part.strip() for part in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            values[key] = base64.b64decode(value, validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise InvalidInput(f"Upload-Metadata: the value of {key} is not base64 of UTF-8.") from None
    return values


def _checksum(header: str) -> Checksum | None:
    if not header:
        return None
    algorithm, _, digest = header.partition(" ")
    if algorithm not in _ALGORITHMS:
        raise InvalidInput(f"Upload-Checksum: {algorithm} is not supported; use {', '.join(_ALGORITHMS)}.")
    try:
        expected = base64.b64decode(digest, validate=True)
    except binascii.Error:
        raise InvalidInput("Upload-Checksum: the digest is not base64.") from None
    return Checksum(hashlib.new(algorithm, usedforsecurity=False), expected)


def _whole(request: Request, header: str) -> int:
    value = request.headers.get(header, "")
    if not (value.isascii() and value.isdigit() and len(value) < 19):
        raise InvalidInput(f"The header {header} must be a whole number of bytes.")
    return int(value)


def _mpp(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise InvalidInput("um/px must be a number such as 0.25.") from None
