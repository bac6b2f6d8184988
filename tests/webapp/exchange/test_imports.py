"""Verdicts and regions of files from elsewhere: nothing is dropped, moved or put on another slide without a word."""

from __future__ import annotations

import codecs
import json
from typing import Any
from uuid import uuid4

import pytest

from detector.datasets.qupath import read_labels
from webapp.annotations.models import Region
from webapp.slides.models import Case, Slide, Study

CSV, GEOJSON = "text/csv", "application/geo+json"


@pytest.fixture
def slide(make_slide):
    """600 x 500 px."""
    return make_slide("s.tif", width=600, height=500, mpp=0.25, sha256="a" * 64)


@pytest.fixture
def send(client_of, alice, slide):
    """Import into the slide; the answer."""

    def go(data: Any, kind: str = GEOJSON, query: str = "") -> Any:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        return client_of(alice).post(f"/api/v1/slides/{slide.pk}/import/{query}", body, content_type=kind)

    return go


def feature(classification: Any, geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": classification}}


def point(x: float, y: float, *z: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [x, y, *z]}


def polygon(*rings: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]] for ring in rings]}


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def collection(*features: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", **more, "features": list(features)}


def found(slide: Slide) -> list[tuple[float, float, str]]:
    return sorted(slide.figures.values_list("x", "y", "label"))


MITOSES = [
    {"name": "Mitosis"}, {"names": ["Mitosis", "Metaphase"]}, {"names": ["Mitosis"]}, {"name": " mitosis "}, "MITOSIS",
    {"name": "Mitosis: metaphase"}, {"name": "Mitotic figures"}, {"name": "mitoses"}, {"name": "Mitotic  figure"},
]  # fmt: skip


@pytest.mark.parametrize("classification", MITOSES)
def test_a_class_is_known_however_qupath_writes_it_and_by_the_detector_too(send, slide, tmp_path, classification):
    body = collection(feature(classification, point(100, 120, 7)))
    assert send(body).json()["verdicts"] == 1 and found(slide) == [(100, 120, "mitotic")]
    (tmp_path / "s.geojson").write_text(json.dumps(body), "utf-8-sig")
    assert [one[:2] for one in read_labels(tmp_path / "s.geojson").mitoses] == [(100, 120)]


def test_what_means_nothing_here_is_listed(send, slide, tmp_path):
    body = collection(
        feature({"name": "Mitosis"}, point(100, 100)), feature({"name": "Apoptosis"}, point(200, 100)),
        feature({"names": ["Apoptosis", "late"]}, point(300, 100)), feature(None, point(300, 100)),
        feature({"name": "Mitosis"}, None), feature({"name": "Ignore*"}, polygon(box(10, 10, 60, 60))),
        feature({"name": "candidate"}, point(5, 5)),
    )  # fmt: skip
    said = send(body).json()
    assert (said["verdicts"], said["regions"], said["without_place"]) == (1, 1, 1)
    assert said["unknown"] == {"apoptosis": 2, "": 1}
    assert slide.regions.get().kind == Region.Kind.EXCLUSION
    (tmp_path / "s.geojson").write_text(json.dumps(body))
    with pytest.warns(UserWarning, match="2 apoptosis") as warned:
        labels = read_labels(tmp_path / "s.geojson")
    assert len(labels.mitoses) == 1 and "1 without a place" in str(warned[0].message)


def test_collections_holes_and_parts_are_taken_as_they_are_meant(send, slide, tmp_path):
    hole = box(100, 100, 150, 150)
    both = {"type": "GeometryCollection", "geometries": [point(300, 300), point(320, 300)]}
    body = collection(
        feature({"name": "Tumor"}, polygon(box(50, 50, 450, 450), hole)), feature({"name": "Mitosis"}, both)
    )
    said = send(body).json()
    assert (said["verdicts"], said["regions"], said["cut"]) == (2, 2, 0)
    (tmp_path / "s.geojson").write_text(json.dumps(body))
    assert [one[:2] for one in read_labels(tmp_path / "s.geojson").mitoses] == [(300, 300), (320, 300)]
    assert sorted(slide.regions.values_list("kind", flat=True)) == ["exclusion", "tumour"]
    assert slide.regions.get(kind="exclusion").polygon == hole
    answer = send(collection(feature({"name": "Exclusion"}, polygon(box(5, 5, 99, 99), box(10, 10, 20, 20)))))
    assert answer.status_code == 400 and answer.json()["detail"].startswith("features[0]: this region has a hole")
    assert send(feature({"name": "Mitosis"}, point(9, 9))).json()["verdicts"] == 1  # a feature alone
    assert "a geometry alone has no class" in send(point(9, 9)).json()["detail"]


def test_what_leaves_the_slide_is_cut_or_named(send, slide):
    said = send(collection(feature({"name": "Tumor"}, polygon([[-0.5, 10], [200, 10], [200, 200]])))).json()
    assert (said["regions"], said["cut"]) == (1, 1)
    corners = slide.regions.get().polygon
    assert min(x for x, _ in corners) == 0 and max(y for _, y in corners) == 200
    assert send(collection(feature({"name": "Tumor"}, polygon([[-0.5, 10], [200, 10], [200, 200]])))).json()[
        "unchanged"
    ]
    inside = feature({"name": "Mitosis"}, point(100, 100))
    for wrong in (polygon(box(700, 10, 800, 90)), polygon(box(-50, -50, -10, -10))):
        answer = send(collection(inside, feature({"name": "Tumor"}, wrong)))
        assert answer.status_code == 400 and answer.json()["detail"].startswith("features[1]: ")
    answer = send(collection(inside, feature({"name": "Mitosis"}, point(601, 20))))
    assert answer.status_code == 400 and "features[1]: (601, 20) lies outside" in answer.json()["detail"]
    assert found(slide) == []


@pytest.mark.parametrize(
    "data",
    [
        b"x;y;label\r\n100,5;100,25;mitotic\r\n", b"X\tY\tLabel\n100.5\t100.25\tMitosis\n",
        b"sep=;\nlabel;x;y\nMITOTIC;100,5;100,25\n", "x,y,label\n100.5,100.25,mitotic\n".encode("utf-8-sig"),
        codecs.BOM_UTF16_LE + "x;y;label\n100,5;100,25;mitotic\n".encode("utf-16-le"),
        b'x,y,label\n"100,5","100,25","mitotic"\n',
    ],
)  # fmt: skip
def test_a_csv_is_read_as_spreadsheets_write_it(send, slide, data):
    assert send(data, CSV).json()["verdicts"] == 1
    assert found(slide) == [(100.5, 100.25, "mitotic")]


@pytest.mark.parametrize(
    ("data", "said"),
    [("sep=;\nx;y;label\n1;2;mitotic\n1;zwei;mitotic\n", "line 4: x and y"), ("x,y,label\n1,2,perhaps\n", "Line 2"),
     ("x;y\n1;2\n", "no column label; its first line is 'x;y'"), ("x,y,label\n5,-3,mitotic\n", "line 2: (5, -3) lies")],
)  # fmt: skip
def test_a_wrong_line_is_named(send, data, said):
    answer = send(data.encode(), CSV)
    assert answer.status_code == 400 and said in answer.json()["detail"]


def test_a_file_of_another_slide_is_refused_unless_the_picture_is_the_same(send, slide, make_slide):
    other, elsewhere = str(uuid4()), Study.objects.create(name="Elsewhere")
    of = lambda pk: collection(feature({"name": "Mitosis"}, point(50, 50)), mitoscope={"slide": pk, "name": "BX-1"})  # noqa: E731
    lines = f"slide,x,y,label\r\n{other},100.0,100.0,mitotic\r\n".encode()
    for data, kind in ((of(other), GEOJSON), (lines, CSV), (of("x\0y"), GEOJSON)):
        answer = send(data, kind)
        assert answer.status_code == 409 and "of another slide" in answer.json()["detail"]
    assert found(slide) == []
    hidden = make_slide("h.tif", sha256=slide.sha256, case=Case.objects.create(study=elsewhere, identifier="x"))
    assert send(of(str(hidden.pk))).status_code == 409  # nobody is told that it is there
    twin = make_slide("twin.tif", sha256=slide.sha256)
    assert send(of(str(twin.pk))).json()["verdicts"] == 1
    assert send(lines, CSV, "?same_picture=true").json()["verdicts"] == 1
    assert send(of(str(slide.pk))).json()["unchanged"] == 1
    mixed = f"slide,x,y,label\n{slide.pk},1,1,mitotic\n{twin.pk},2,2,mitotic\n".encode()
    assert "several slides" in send(mixed, CSV).json()["detail"]
