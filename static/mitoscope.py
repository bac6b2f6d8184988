"""A client of Mitoscope: one file, Python 3.11, nothing to install. Any server hands it out at /static/mitoscope.py.

    from mitoscope import Mitoscope
    server = Mitoscope("http://127.0.0.1:8000", "TOKEN")
    print(server.upload("slide.svs").wait().count().count_per_mm2)

What the server refuses is raised as MitoscopeError with the server's sentence. Research use only.
"""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CHUNK = 8 << 20
_TUS = {"Tus-Resumable": "1.0.0"}
_TRIES = 5  # of a call that may be made twice, while the server is not reached


class MitoscopeError(Exception):
    """What the server said. status: of HTTP, 0 where it was not reached. problem: its RFC 9457 details."""

    def __init__(self, message: str, status: int = 0, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem = dict(problem or {})


@dataclass(frozen=True)
class Field:
    """One of ten fields: a circle of radius reach_mm around x, y (level-0 px). count: figures in it."""

    x: float
    y: float
    reach_mm: float
    count: int


@dataclass(frozen=True)
class Hotspot:
    """x, y: centre, level-0 px. interval: 95 % Poisson interval of the count. area_mm2: asked for; evaluable_mm2: held.

    reach_mm: radius, or half the side; None where all that is evaluable is counted. fields: the ten of that shape.
    """

    x: float
    y: float
    shape: str
    area_mm2: float
    count: int
    count_per_mm2: float
    interval: tuple[float, float]
    unseen: int
    evaluable_mm2: float | None = None
    reach_mm: float | None = None
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True)
class Score:
    """The mitotic score, 1 to 3, by a rule. to_next: figures that are missing to the next score.

    interval: 95 % Poisson interval of the count that was scored. small_sample: less was evaluable than asked for.
    """

    value: int
    rule: Mapping[str, Any]
    to_next: int | None
    interval: tuple[float, float]
    small_sample: bool = False


@dataclass(frozen=True)
class Review:
    """How far the hotspot is reviewed. state: "not reviewed", "partly reviewed" or "reviewed".

    judged, of: its candidates with a verdict, and all. left: those that can still change the score, None without one.
    """

    state: str
    judged: int
    of: int
    left: int | None


@dataclass(frozen=True)
class Count:
    """The reviewed value, or that by AI until somebody has judged; `review` says which.

    raw: everything that the server said of it; both values are `raw["ai"]` and `raw["reviewed"]`.
    """

    count: int
    count_per_mm2: float | None
    tissue_mm2: float | None
    hotspot: Hotspot | None
    score: Score | None
    reason: str
    stale: tuple[str, ...]
    raw: Mapping[str, Any]
    review: Review | None = None  # None from a server older than the client


class Mitoscope:
    """A server, and the person whose token it is."""

    def __init__(self, address: str, token: str, timeout: float = 60) -> None:
        self.address = address.rstrip("/")
        self._token = token
        self._timeout = timeout

    def upload(
        self,
        file: str | os.PathLike[str],
        *,
        study: str = "",
        case: str = "",
        mpp: float | None = None,
        detect: bool = True,
    ) -> Slide:
        """Send a slide, in parts that go on where a broken connection stopped, and have its mitoses found."""
        path = Path(file)
        size = path.stat().st_size
        wanted = {"filename": path.name, "study": study, "case": case, "mpp": f"{mpp:g}" if mpp else ""}
        wanted["detect"] = "true" if detect else "false"
        metadata = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in wanted.items() if v)
        headers = {**_TUS, "Upload-Length": str(size), "Upload-Metadata": metadata}
        _, answered = self._call("POST", "uploads/", headers=headers)
        place, slide = answered["Location"], ""
        with path.open("rb") as stream:
            offset, failures = 0, 0
            while not slide:
                stream.seek(offset)
                part = {**_TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
                try:
                    _, answered = self._call("PATCH", place, body=stream.read(_CHUNK), headers=part)
                    offset, failures = int(answered["Upload-Offset"]), 0
                    slide = answered.get("Mitoscope-Slide", "")
                except MitoscopeError as error:
                    failures += 1
                    if error.status not in {0, 409, 423} or failures >= _TRIES:
                        raise
                    time.sleep(failures)
                    _, answered = self._call("HEAD", place, headers=_TUS)
                    offset = int(answered["Upload-Offset"])
        return Slide(self, slide)

    def slide(self, key: str) -> Slide:
        """A slide by its id."""
        return Slide(self, key)

    def slides(self, **filters: str) -> Iterator[Slide]:
        """The slides that the token's owner may see; filters as in the API: state, case, search, ..."""
        yield from (Slide(self, row["id"]) for row in self.pages("slides/", **filters))

    def pages(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """All rows of a list, fetched page by page."""
        offset = 0
        while True:
            page = self.get(path, **query, offset=str(offset))
            yield from page["results"]
            offset += len(page["results"])
            if offset >= page["count"] or not page["results"]:
                return

    def get(self, path: str, **query: str) -> Any:
        """The JSON at a path below /api/v1/."""
        address = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        body, _ = self._call("GET", address)
        return json.loads(body)

    def post(self, path: str, body: Any = None) -> Any:
        """Ask for something; sent again with the same key where the server was not reached, so it is done once."""
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/json"}
        answer, _ = self._call("POST", path, body=json.dumps(body or {}).encode(), headers=headers, again=True)
        return json.loads(answer) if answer else None

    def download(self, path: str, **query: str) -> bytes:
        """The bytes at a path below /api/v1/."""
        body, _ = self._call("GET", f"{path}?{urllib.parse.urlencode(query)}")
        return body

    def _call(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        again: bool = False,
    ) -> tuple[bytes, Mapping[str, str]]:
        address = self.address + path if path.startswith("/") else f"{self.address}/api/v1/{path}"
        sent = {"Authorization": f"Token {self._token}", "Accept": "*/*", **(headers or {})}
        request = urllib.request.Request(address, data=body, headers=sent, method=method)  # noqa: S310  the server's address
        for attempt in range(1, _TRIES + 1):
            try:
                with urllib.request.urlopen(request, timeout=self._timeout) as answer:  # noqa: S310  as above
                    return answer.read(), answer.headers
            except urllib.error.HTTPError as error:
                if error.code == 429 and attempt < _TRIES:
                    time.sleep(min(float(error.headers.get("Retry-After", 1)), 60))
                    continue
                raise _refused(error) from None
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                if attempt == _TRIES or not (again or method in {"GET", "HEAD"}):
                    raise MitoscopeError(f"{self.address} is not reached: {error}") from error
                time.sleep(attempt)
        raise AssertionError("the last attempt returns or raises")


class Slide:
    """A slide on a server."""

    def __init__(self, server: Mitoscope, key: str) -> None:
        self.server = server
        self.id = key

    def __repr__(self) -> str:
        return f"Slide({self.id})"

    def info(self) -> dict[str, Any]:
        """Name, case, state, size, um/px ..."""
        found: dict[str, Any] = self.server.get(f"slides/{self.id}/")
        return found

    def wait(self, timeout: float = 3600, every: float = 1.0) -> Slide:
        """Wait until the slide is prepared and its detection, where one was asked for, is done."""
        deadline = time.monotonic() + timeout
        while True:
            state = self.info()
            jobs = self.server.get("jobs/", slide=self.id, limit="20")["results"]
            if state["state"] == "refused":
                raise MitoscopeError(state["remark"] or "The slide was refused.")
            if state["state"] != "preparing" and not any(job["state"] in {"pending", "running"} for job in jobs):
                if jobs and jobs[0]["state"] in {"failed", "cancelled"}:
                    raise MitoscopeError(jobs[0]["error"] or f"The {jobs[0]['kind']} was cancelled.")
                return self
            if time.monotonic() > deadline:
                raise MitoscopeError(f"Not done after {timeout:g} s; wait() again goes on waiting.")
            time.sleep(every)

    def detect(self) -> Slide:
        """Ask for a new detection by the active model."""
        self.server.post(f"slides/{self.id}/detections/")
        return self

    def count(self, **query: Any) -> Count:
        """The mitotic count; query as in the API: min_score, area_mm2, shape, rule, run."""
        raw = self.server.get(f"slides/{self.id}/mitosis-count/", **{k: str(v) for k, v in query.items()})
        hotspot, score = raw["hotspot"], raw["score"]
        return Count(
            count=raw["count"],
            count_per_mm2=raw["count_per_mm2"],
            tissue_mm2=raw["tissue_mm2"],
            hotspot=_hotspot(hotspot) if hotspot else None,
            score=Score(**{**score, "interval": tuple(score["interval"])}) if score else None,
            reason=raw["reason"],
            stale=tuple(raw["stale"]),
            raw=raw,
            review=Review(**review) if (review := raw.get("review")) else None,
        )

    def export(self, form: str, **query: Any) -> bytes:
        """geojson, csv, summary, midog or dicom, as bytes; query as for the count."""
        return self.server.download(f"slides/{self.id}/export/", format=form, **{k: str(v) for k, v in query.items()})


def _hotspot(raw: Mapping[str, Any]) -> Hotspot:
    fields = tuple(Field(**field) for field in raw["fields"])
    return Hotspot(**{**raw, "interval": tuple(raw["interval"]), "fields": fields})


def _refused(error: urllib.error.HTTPError) -> MitoscopeError:
    try:
        problem = json.loads(error.read())
        said = next((str(text) for texts in problem.get("errors", {}).values() for text in texts), problem["detail"])
    except (ValueError, KeyError, TypeError, AttributeError):
        problem, said = {}, f"The server answered with status {error.code}."
    return MitoscopeError(said, error.code, problem)
