"""DICOMweb (PS3.18) of a study: a PACS or scanner stores slides, and asks for them and their annotations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse, UnreadablePostError
from django.shortcuts import get_object_or_404
from django.utils.cache import patch_cache_control
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotAcceptable
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from webapp.api.fast_view import FastView
from webapp.audit.models import Action
from webapp.audit.services import record
from webapp.dicomweb import retrieve, search
from webapp.dicomweb.models import Instance
from webapp.dicomweb.multipart import written_parts
from webapp.dicomweb.search import Annotations, Held
from webapp.dicomweb.store import Outcome, instances_receive
from webapp.dicomweb.tags import Json, element
from webapp.slides.models import Slide, Study
from webapp.slides.services import demand_identity, slides_identity_seen

_DICOM = "application/dicom"
_FILES = ("multipart/related", "multipart/*", _DICOM)
_FRAMES = ("multipart/related", "multipart/*", "image/jpeg", "image/jp2", "image/*", "application/octet-stream")


class DicomJsonRenderer(JSONRenderer):
    """JSON, as DICOM calls it."""

    media_type = "application/dicom+json"
    format = "dicom"


@extend_schema(exclude=True)  # its description is PS3.18
class _DicomwebView(FastView):
    """answers: the media types of GET, of which one must be accepted."""

    answers: ClassVar[tuple[str, ...]] = ("application/dicom+json", "application/json", "application/*")

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """To HEAD no file is read."""
        answer = super().dispatch(request, *args, **kwargs)
        if request.method == "HEAD" and answer.streaming:
            answer.streaming_content = iter(())  # type: ignore[attr-defined]  # of a streaming response
        return answer

    def check_throttles(self, request: Request) -> None:
        """Also that the answer is one that is wanted; asked before anything is looked up."""
        super().check_throttles(request)
        wanted = [one.partition(";")[0].strip().lower() for one in request.headers.get("Accept", "*/*").split(",")]
        if request.method in {"GET", "HEAD"} and not {"*/*", *self.answers}.intersection(wanted):
            raise NotAcceptable(f"It comes as {self.answers[0]}.")

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        """What was stored is told in JSON, whatever is asked for: nothing is refused for that."""
        return DicomJsonRenderer(), DicomJsonRenderer.media_type

    def study(self, user: Any, pk: int) -> Study:
        """The study of ours."""
        study: Study = get_object_or_404(Study.objects.visible_to(user), pk=pk)
        return study

    def held(self, user: User, pk: int, study_uid: str, series_uid: str | None = None) -> list[Held]:
        """The series that are meant; 404 where there is none."""
        found = search.held(study=self.study(user, pk), user=user, study_uid=study_uid, series_uid=series_uid)
        if not found:
            raise Http404
        return found

    def found(self, request: HttpRequest, user: User, pk: int) -> tuple[Study, search.Asked]:
        """What is searched, and for what."""
        return self.study(user, pk), search.asked(request.GET.dict(), _url(request, pk))


class DicomwebStudiesView(_DicomwebView):
    """Studies: search, and store."""

    def get(self, request: HttpRequest, user: User, pk: int) -> HttpResponse:
        """The studies that were received."""
        study, asked = self.found(request, user, pk)
        return _found(search.studies_found(search.held(study=study, user=user), asked), asked)

    def post(self, request: Request, pk: int) -> HttpResponse:
        """Store instances."""
        return _stored(request, self.study(request.user, pk))


class DicomwebStudyView(_DicomwebView):
    """One study: retrieve, and store."""

    answers = _FILES

    def get(self, request: HttpRequest, user: User, pk: int, study_uid: str) -> HttpResponse:
        """All instances of it."""
        return _instances(request, user, self.held(user, pk, study_uid))

    def post(self, request: Request, pk: int, study_uid: str) -> HttpResponse:
        """Store instances of this study."""
        return _stored(request, self.study(request.user, pk), study_uid)


class DicomwebSeriesSearchView(_DicomwebView):
    """Search for series."""

    def get(self, request: HttpRequest, user: User, pk: int, study_uid: str | None = None) -> HttpResponse:
        """Those of a study, or all."""
        study, asked = self.found(request, user, pk)
        return _found(search.series_found(search.held(study=study, user=user, study_uid=study_uid), asked), asked)


class DicomwebSeriesView(_DicomwebView):
    """One series: retrieve."""

    answers = _FILES

    def get(self, request: HttpRequest, user: User, pk: int, study_uid: str, series_uid: str) -> HttpResponse:
        """All instances of it."""
        return _instances(request, user, self.held(user, pk, study_uid, series_uid))


class DicomwebInstanceSearchView(_DicomwebView):
    """Search for instances."""

    def get(
        self, request: HttpRequest, user: User, pk: int, study_uid: str | None = None, series_uid: str | None = None
    ) -> HttpResponse:
        """Those of a series, of a study, or all; annotation objects where a study is named."""
        study, asked = self.found(request, user, pk)
        rows = search.held(study=study, user=user, study_uid=study_uid, series_uid=series_uid)
        return _found(search.instances_found(rows, asked, annotations=study_uid is not None), asked)


class DicomwebInstanceView(_DicomwebView):
    """One instance: retrieve."""

    answers = _FILES

    def get(self, request: HttpRequest, user: User, pk: int, study_uid: str, series_uid: str, uid: str) -> HttpResponse:
        """Its file."""
        return _instances(request, user, self.held(user, pk, study_uid, series_uid), uid)


class DicomwebMetadataView(_DicomwebView):
    """Retrieve metadata of a study, a series or an instance."""

    def get(
        self,
        request: HttpRequest,
        user: User,
        pk: int,
        study_uid: str,
        series_uid: str | None = None,
        uid: str | None = None,
    ) -> HttpResponse:
        """Without what may name a patient."""
        rows, url = self.held(user, pk, study_uid, series_uid), _url(request, pk)
        found = [
            retrieve.metadata_of(one.series, each) | search.instance_json(one, each, url)
            for one, each in search.images_of(rows, uid)
        ]
        found += [made.object.to_json_dict() | _nameless(one, url) for one, made in _annotations(rows, uid)]
        if not found:
            raise Http404
        return _json(found)


class DicomwebFramesView(_DicomwebView):
    """Retrieve frames."""

    answers = _FRAMES

    def get(
        self, request: HttpRequest, user: User, pk: int, study_uid: str, series_uid: str, uid: str, frames: str
    ) -> HttpResponse:
        """Frames of an instance, from 1, as they are stored."""
        one = self.held(user, pk, study_uid, series_uid)[0]
        instance = get_object_or_404(one.series.instances if one.run is None else Instance.objects.none(), uid=uid)
        numbers = retrieve.frame_numbers(frames, instance)
        if retrieve.shows_label(instance):
            _identity_seen(user, [one], "label or macro image")
        parts = retrieve.frames_of(one.series, instance, numbers)
        first = next(parts)  # what is wrong with the file is said before the answer begins
        return _parts(first[0].split(";")[0], _again(first, parts))


def _stored(request: Request, study: Study, study_uid: str | None = None) -> HttpResponse:
    try:
        outcomes = instances_receive(
            study=study,
            body=request._request,
            size=int(request.META.get("CONTENT_LENGTH") or 0),
            content_type=request.META.get("CONTENT_TYPE", ""),
            by=cast(User, request.user),
            study_uid=study_uid,
        )
    except UnreadablePostError:  # the connection broke; what came whole is kept, and nobody is there to be told
        return HttpResponse(status=400)
    refused = [one for one in outcomes if one.failure is not None]
    response = _json(_told(outcomes, _url(request, study.pk)), status=(200 if not refused else 202))
    if len(refused) == len(outcomes):
        response.status_code = 409
    if refused:
        response["Warning"] = ", ".join(f'299 Mitoscope "{why}"' for why in sorted({one.why for one in refused}))
    return response


def _told(outcomes: Iterable[Outcome], url: str) -> Json:
    """The answer to storing (PS3.18 10.5.3)."""
    kept, refused = [], []
    studies: set[str] = set()
    for one in outcomes:
        said = {"00081150": element("UI", one.sop_class), "00081155": element("UI", one.sop)}
        if one.failure is not None:
            refused.append(said | {"00081197": element("US", one.failure)})
        else:
            studies.add(one.study)
            at = f"{url}/studies/{one.study}/series/{one.series}/instances/{one.sop}"
            kept.append(said | {"00081190": element("UR", at)})
    answer: Json = {"00081190": element("UR", f"{url}/studies/{studies.pop()}")} if len(studies) == 1 else {}
    answer |= {"00081199": {"vr": "SQ", "Value": kept}} if kept else {}
    return answer | ({"00081198": {"vr": "SQ", "Value": refused}} if refused else {})


def _url(request: HttpRequest | Request, pk: int) -> str:
    return request.build_absolute_uri(f"{request.path.split('/dicomweb/')[0]}/dicomweb/{pk}")


def _found(rows: list[Json], asked: search.Asked) -> HttpResponse:
    response = _json(rows[: asked.limit])
    if len(rows) > asked.limit:
        response["Warning"] = '299 Mitoscope "There are more; ask with limit and offset."'
    return response


def _json(body: Any, status: int = 200) -> HttpResponse:
    response = HttpResponse(JSONRenderer().render(body), "application/dicom+json", status=status)
    patch_cache_control(response, private=True, no_store=True)
    return response


def _annotations(rows: Iterable[Held], uid: str | None) -> list[tuple[Held, Annotations]]:
    """The annotation objects of series, or the one of this UID."""
    made = [(one, search.annotations_of(one)) for one in rows if one.run is not None]
    return [(one, each) for one, each in made if each is not None and uid in (None, each.uid)]


def _nameless(one: Held, url: str) -> Json:
    """What is told of the series of annotations, of which the object itself may say the patient's ID of the file."""
    return {tag: value for tag, value in search.series_json(one, url).items() if tag != "00081190"}


def _instances(request: HttpRequest, user: User, rows: list[Held], uid: str | None = None) -> HttpResponse:
    """Files: images, which may name a patient, for whom that is shown, and annotations."""
    images, objects = search.images_of(rows, uid), _annotations(rows, uid)
    multipart = re.search(r"multipart/|\*/\*", request.headers.get("Accept", "*/*")) is not None
    if not images and not objects:
        raise Http404
    for one, _ in images:
        retrieve.demand_prepared(one.series)
    if images:
        _identity_seen(user, (one for one, _ in images), "DICOM file")
    if objects and settings.DICOM_PATIENT_ID == "file":
        _identity_seen(user, (one for one, _ in objects), "patient ID of the file")
    for one, _ in objects:
        assert one.series.slide is not None and one.run is not None
        record(Action.EXPORTED, one.series.slide, who=user, after={"format": "DICOM", "run": str(one.run.pk)})

    def parts() -> Iterator[tuple[str, Iterable[bytes]]]:
        for one, instance in images:
            yield _DICOM, retrieve.pieces_of(one.series, instance)
        for _, made in objects:
            yield _DICOM, [made.data]

    if len(images) + len(objects) == 1 and not multipart:
        return _private(StreamingHttpResponse((piece for _, pieces in parts() for piece in pieces), _DICOM))
    return _parts(_DICOM, parts())


def _identity_seen(user: User, rows: Iterable[Held], what: str) -> None:
    """Of slides; what is none yet can be had by who may see identities, too."""
    demand_identity(user)
    slides: dict[Any, Slide] = {one.series.slide.pk: one.series.slide for one in rows if one.series.slide}
    slides_identity_seen(slides=slides.values(), user=user, what=what)


def _parts(kind: str, parts: Iterable[tuple[str, Iterable[bytes]]]) -> HttpResponse:
    boundary, body = written_parts(parts)
    return _private(StreamingHttpResponse(body, f'multipart/related; type="{kind}"; boundary={boundary}'))


def _private(answer: StreamingHttpResponse) -> HttpResponse:
    patch_cache_control(answer, private=True, no_store=True)
    return cast(HttpResponse, answer)


def _again(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
