"""Deep Zoom tiles, thumbnails and crops. Permission first, then everything else; 404 for every bad address."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from detector.errors import SlideError
from detector.slide.tiles import TileCache, TileSource
from webapp.slides.models import Slide
from webapp.slides.services import slide_identity_seen
from webapp.slides.storage import slide_fetched, thumbnail_read

_sources = TileCache(slides=16, cache_bytes=128 << 20)


class _TileView(APIView):
    def _slide(self, request: Request, pk: UUID) -> Slide:
        slides = Slide.objects.visible_to(request.user).only(
            "state", "path", "sha256", "width", "height", "mpp_x", "mpp_y"
        )
        slide: Slide = get_object_or_404(slides.order_by(), pk=pk)
        if slide.state not in {Slide.State.READY, Slide.State.NEEDS_MPP}:
            raise Http404
        return slide

    def _source(self, slide: Slide) -> TileSource:
        try:
            return _sources.get(slide_fetched(slide))
        except SlideError as error:
            raise Http404 from error


class DziView(_TileView):
    """The Deep Zoom descriptor."""

    @extend_schema(responses={(200, "application/xml"): OpenApiTypes.STR})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """Size and tiling of a slide, for OpenSeadragon and other Deep Zoom viewers; the whole slide, uncropped."""
        source = self._source(self._slide(request, pk))
        response = HttpResponse(source.dzi(), content_type="application/xml")
        patch_cache_control(response, private=True, no_cache=True)
        return response


class TileView(_TileView):
    """One tile."""

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID, level: int, column: int, row: int) -> HttpResponse:
        """A JPEG tile of a level; the highest level is full size."""
        slide = self._slide(request, pk)
        try:
            source = self._source(slide)
            tag = f'"{slide.sha256[:20]}-{source.tile_size}-{level}-{column}-{row}"'
            if request.headers.get("If-None-Match") == tag:
                source.check(level, column, row)
                return _cached(HttpResponse(status=304), tag)
            return _cached(HttpResponse(source.tile(level, column, row), content_type="image/jpeg"), tag)
        except (SlideError, ValueError) as error:
            raise Http404 from error


class CropView(_TileView):
    """The surroundings of a point."""

    @extend_schema(
        parameters=[
            OpenApiParameter("x", float, required=True, description="level-0 pixels"),
            OpenApiParameter("y", float, required=True, description="level-0 pixels"),
            OpenApiParameter("size", int, description="pixels of 0.25 um (of the slide, where um/px is unknown)"),
        ],
        responses={(200, "image/jpeg"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """A JPEG of size x size px (128 by default, up to 512) at 0.25 um/px, centred on (x, y)."""
        slide = self._slide(request, pk)
        query = request.query_params
        try:
            x, y, size = float(query["x"]), float(query["y"]), int(query.get("size", "128"))
            if not (0 <= x <= (slide.width or 0) and 0 <= y <= (slide.height or 0) and 16 <= size <= 512):
                raise Http404
            image = self._source(slide).crop(x, y, size, slide.mpp)
        except (KeyError, ValueError, SlideError) as error:
            raise Http404 from error
        return _cached(HttpResponse(image, content_type="image/jpeg"))


class ThumbnailView(_TileView):
    """The whole slide, small."""

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """A JPEG of at most 512 px."""
        try:
            image = thumbnail_read(self._slide(request, pk))
        except OSError as error:
            raise Http404 from error
        return _cached(HttpResponse(image, content_type="image/jpeg"))


class IdentityImageView(_TileView):
    """The label or macro image of a slide, which may name a patient."""

    @extend_schema(responses={(200, "image/jpeg"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: UUID, kind: str) -> HttpResponse:
        """A JPEG, for people with the permission `view_identity`; each look is recorded with the slide."""
        slide = self._slide(request, pk)
        slide_identity_seen(slide=slide, user=cast(User, request.user), what=kind)
        image = self._source(slide).associated(kind)
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
