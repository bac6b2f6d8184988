"""The file of a slide as it was uploaded."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from django.utils.http import content_disposition_header
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema

from detector.slide.folder import files_below
from webapp.api.fast_view import FastView
from webapp.core.errors import DomainError
from webapp.core.streams import Pipe
from webapp.slides.models import Slide
from webapp.slides.services import demand_identity, slide_identity_seen
from webapp.slides.storage import original_of, slide_held

_BLOCK = 1 << 20
_BYTES = "application/octet-stream"


class OriginalFileView(FastView):
    """The file of a slide."""

    @extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
    def get(self, request: HttpRequest, user: User, pk: UUID) -> HttpResponse:
        """As it was uploaded, for people with the permission `view_identity`, as it may name a patient; recorded.

        `Range` and `If-Range` are understood. A slide that is a folder comes as a zip, not compressed.
        """
        slide = get_object_or_404(Slide.objects.visible_to(user), pk=pk)
        if slide.state not in {Slide.State.READY, Slide.State.NEEDS_MPP}:
            raise DomainError(f"This slide is {slide.get_state_display()}; there is no file to be had.")
        demand_identity(user)
        with slide_held(slide):
            found = original_of(slide)
            if found is None:
                raise Http404
            slide_identity_seen(slide=slide, user=user, what="original file")
            response = _zipped(slide, found) if found.is_dir() else _file(request, slide, found)
        if request.method == "HEAD":
            response.streaming_content = iter(())  # type: ignore[attr-defined]  # of a streaming response
        patch_cache_control(response, private=True, no_store=True)
        return response


def _file(request: HttpRequest, slide: Slide, path: Path) -> HttpResponse:
    size, tag = path.stat().st_size, f'"{slide.sha256}"'
    span = _span(request.headers.get("Range", ""), size) if request.headers.get("If-Range", tag) == tag else None
    if span == (0, 0):
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    begin, end = span or (0, size)
    name = slide.file_name or f"{slide.name}{path.suffix}"
    headers = {
        "Content-Length": str(end - begin),
        "Content-Disposition": content_disposition_header(True, name) or "attachment",
        "Accept-Ranges": "bytes",
        "ETag": tag,
    }
    if span:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    parts = _part(slide, path, begin, end)
    return cast(HttpResponse, StreamingHttpResponse(parts, _BYTES, status=206 if span else 200, headers=headers))


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Begin and end of the one range that is asked for; None for all of it, (0, 0) where there is no such part."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.replace(" ", ""))
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < int(first):
        return None
    return (begin, end) if begin < end else (0, 0)


def _part(slide: Slide, path: Path, begin: int, end: int) -> Iterator[bytes]:
    with slide_held(slide), path.open("rb") as file:
        file.seek(begin)
        while begin < end and (block := file.read(min(_BLOCK, end - begin))):
            begin += len(block)
            yield block


def _zipped(slide: Slide, folder: Path) -> HttpResponse:
    name = f"{Path(slide.file_name or slide.name).stem}.zip"
    headers = {"Content-Disposition": content_disposition_header(True, name) or "attachment"}
    return cast(HttpResponse, StreamingHttpResponse(_zip_parts(slide, folder), "application/zip", headers=headers))


def _zip_parts(slide: Slide, folder: Path) -> Iterator[bytes]:
    pipe = Pipe()
    with slide_held(slide), zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as out:
        for path in sorted(files_below(folder)):
            with path.open("rb") as file, out.open(str(path.relative_to(folder)), "w", force_zip64=True) as entry:
                while block := file.read(_BLOCK):
                    entry.write(block)
                    yield pipe.take()
    yield pipe.take()
