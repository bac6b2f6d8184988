"""Deep Zoom tiles, thumbnails and crops. Permission is checked first; 404 for every bad address."""

from __future__ import annotations

from io import BytesIO
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from PIL import Image
from rest_framework.response import Response

from detector.errors import SlideError
from detector.slide.tiles import TileCache, TileSource
from webapp.annotations.evaluable import evaluable_of
from webapp.annotations.models import Region
from webapp.api.fast_view import FastView
from webapp.core.faults import fault_of
from webapp.slides.models import Slide
from webapp.slides.opened import slide_pixels_taken
from webapp.slides.selectors import slide_shown
from webapp.slides.services import slide_identity_seen
from webapp.slides.storage import slide_fetched, thumbnail_read

_sources = TileCache(slides=16, cache_bytes=128 << 20)


class _PictureView(FastView):
    """Not throttled: panning asks for hundreds. 404 where the file cannot be read."""

    throttle_classes = ()

    def handle_exception(self, exc: Exception) -> Response:
        return super().handle_exception(Http404() if isinstance(exc, SlideError) and not fault_of(exc) else exc)


def _slide(user: User, pk: UUID) -> Slide:
    slide = slide_shown(user=user, pk=pk)
    if slide is None:
        raise Http404
    return slide


def _source(slide: Slide) -> TileSource:
    return _sources.get(slide_fetched(slide))


class DziView(_PictureView):
    """The Deep Zoom descriptor."""

    @extend_schema(responses={(200, "application/xml"): OpenApiTypes.STR})
    def get(self, request: HttpRequest, user: User, pk: UUID) -> HttpResponse:
        """Size and tiling of a slide, for OpenSeadragon and other Deep Zoom viewers; the whole slide, uncropped."""
        response = HttpResponse(_source(_slide(user, pk)).dzi(), content_type="application/xml")
        patch_cache_control(response, private=True, no_cache=True)
        return response


class TileView(_PictureView):
    """One tile."""

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: HttpRequest, user: User, pk: UUID, level: int, column: int, row: int) -> HttpResponse:
        """A JPEG tile of a level; the highest level is full size."""
        slide = _slide(user, pk)
        slide_pixels_taken(slide=slide, user=user)
        source = _source(slide)
        tag = f'"{slide.sha256[:20]}-{source.tile_size}-{level}-{column}-{row}"'
        try:
            if request.headers.get("If-None-Match") == tag:
                source.check(level, column, row)
                return _cached(HttpResponse(status=304), tag)
            return _cached(HttpResponse(source.tile(level, column, row), content_type="image/jpeg"), tag)
        except ValueError as error:
            raise Http404 from error


class CropView(_PictureView):
    """The surroundings of a point."""

    @extend_schema(
        parameters=[
            OpenApiParameter("x", float, required=True, description="level-0 pixels"),
            OpenApiParameter("y", float, required=True, description="level-0 pixels"),
            OpenApiParameter("size", int, description="pixels of 0.25 um (of the slide, where um/px is unknown)"),
        ],
        responses={(200, "image/jpeg"): OpenApiTypes.BINARY},
    )
    def get(self, request: HttpRequest, user: User, pk: UUID) -> HttpResponse:
        """A JPEG of size x size px (128 by default, up to 512) at 0.25 um/px, centred on (x, y)."""
        slide = _slide(user, pk)
        slide_pixels_taken(slide=slide, user=user)
        query = request.GET
        try:
            x, y, size = float(query["x"]), float(query["y"]), int(query.get("size", "128"))
        except (KeyError, ValueError) as error:
            raise Http404 from error
        if not (0 <= x <= (slide.width or 0) and 0 <= y <= (slide.height or 0) and 16 <= size <= 512):
            raise Http404
        return _cached(HttpResponse(_source(slide).crop(x, y, size, slide.mpp), content_type="image/jpeg"))


class ThumbnailView(_PictureView):
    """The whole slide, small."""

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: HttpRequest, user: User, pk: UUID) -> HttpResponse:
        """A JPEG of at most 512 px."""
        slide = _slide(user, pk)
        image = thumbnail_read(slide)
        if image is None:
            raise Http404
        return _cached(HttpResponse(image, content_type="image/jpeg"))


class TissueView(_PictureView):
    """Where the slide has tissue."""

    @extend_schema(responses={(200, "image/png"): OpenApiTypes.BINARY, 204: None})
    def get(self, request: HttpRequest, user: User, pk: UUID) -> HttpResponse:
        """A grey PNG over the whole slide: 255 tissue, 128 near enough for figures to count, 0 glass.

        As it was measured and then corrected by regions of the kinds tissue and glass; 204 where it was not measured.
        """
        slide = _slide(user, pk)
        slide_pixels_taken(slide=slide, user=user)
        evaluable = evaluable_of(slide, list(Region.objects.current().filter(slide=slide)))
        if not evaluable.measured:
            return HttpResponse(status=204)
        file = BytesIO()
        Image.fromarray(evaluable.picture()).save(file, "png")
        response = HttpResponse(file.getvalue(), content_type="image/png")
        patch_cache_control(response, private=True, no_store=True)
        return response


class IdentityImageView(_PictureView):
    """The label or macro image of a slide, which may name a patient."""

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: HttpRequest, user: User, pk: UUID, kind: str) -> HttpResponse:
        """A JPEG, for people with the permission `view_identity`; every access is recorded with the slide."""
        slide = _slide(user, pk)
        slide_identity_seen(slide=slide, user=user, what=f"{kind} image")
        image = _source(slide).associated(kind)
        if image is None:
            raise Http404
        response = HttpResponse(image, content_type="image/jpeg")
        patch_cache_control(response, private=True, no_store=True)
        return response


def _cached(response: HttpResponse, tag: str = "") -> HttpResponse:
    """Kept by the browser of the person who may see it, by no proxy on the way."""
    patch_cache_control(response, private=True, max_age=86400, immutable=True)
    if tag:
        response["ETag"] = tag
    return response
