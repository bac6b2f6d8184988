"""Exports say the same as the count, open at the right place, run no formula, and come back the same."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from django.contrib.auth.models import Permission
from highdicom.ann import annread

from webapp.annotations.models import Figure, Label, Region
from webapp.annotations.services import figure_judge, region_draw
from webapp.exchange import exports
from webapp.slides.models import Case, Study

CANDIDATES = [(500.25, 500.0, 0.95), (1200.0, 500.0, 0.6), (800.0, 500.0, 0.9), (300.0, 900.0, 0.4)]
QUERY = "area_mm2=0.5&min_score=0.5"
TUMOUR = [[10.0, 10.0], [1590.0, 10.0], [1590.0, 1190.0], [10.0, 1190.0]]


@pytest.fixture
def make(alice, make_slide, make_run):
    picture = np.full((1200, 1600, 3), (225, 160, 190), np.uint8)

    def make_one(name="s.tif", **fields):
        slide = make_slide(name, mpp=1.0, image=picture, tissue_fraction=1.0, **fields)
        make_run(slide, CANDIDATES)
        return slide

    return make_one


@pytest.fixture
def slide(alice, make):
    slide = make()
    figure_judge(slide=slide, by=alice, label=Label.NON_MITOTIC, x=800, y=500)
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=1500.125, y=1100)
    figure_judge(slide=slide, by=alice, label=Label.UNSURE, x=300, y=900)
    region_draw(slide=slide, by=alice, kind=Region.Kind.TUMOUR, polygon=TUMOUR)
    region_draw(slide=slide, by=alice, kind=Region.Kind.EXCLUSION, polygon=[[20, 20], [60, 20], [40, 60]])
    return slide


@pytest.fixture
def get(client_of, alice):
    def fetch(slide, form, query=QUERY):
        answer = client_of(alice).get(f"/api/v1/slides/{slide.pk}/export/?format={form}&{query}")
        assert answer.status_code == 200, answer.content
        return answer

    return fetch


def lines(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def feature(name, kind, coordinates):
    """A GeoJSON file with one feature of this class."""
    geometry = {"type": kind, "coordinates": coordinates}
    return json.dumps([{"properties": {"classification": {"name": name}}, "geometry": geometry}]).encode()


def reviewed(slide):
    figures = sorted(Figure.objects.filter(slide=slide).values_list("x", "y", "label"))
    regions = sorted(map(str, Region.objects.current().filter(slide=slide).values_list("kind", "polygon")))
    return figures, regions


def test_the_csv_has_every_candidate_and_figure_and_counts_the_same(client_of, alice, slide, get):
    count = client_of(alice).get(f"/api/v1/slides/{slide.pk}/mitosis-count/?{QUERY}").json()
    rows = lines(get(slide, "csv").content)
    assert [(float(r["x"]), r["score"], r["label"], r["counted"]) for r in rows] == [
        (500.25, "0.95", "", "yes"), (800, "0.9", "non_mitotic", "no"), (1200, "0.6", "", "yes"),
        (300, "0.4", "unsure", "no"), (1500.125, "", "mitotic", "yes"),
    ]  # fmt: skip
    assert sum(r["counted"] == "yes" for r in rows) == count["count"] == 3
    assert sum(r["hotspot"] == "1" for r in rows) == count["hotspot"]["count"] == 2
    assert {r["by"] for r in rows} == {"", "alice"}
    summary = lines(get(slide, "summary").content)[0]
    assert int(summary["count"]) == count["count"] and int(summary["ai_count"]) == count["ai"]["count"]
    assert float(summary["count_per_mm2"]) == count["count_per_mm2"]
    assert int(summary["score"]) == count["score"]["value"]
    assert float(summary["hotspot_x"]) == count["hotspot"]["x"]


def test_a_spreadsheet_runs_no_formula(alice, make, get):
    alice.username = "=cmd|' /C calc'!A0"
    alice.save()
    slide = make("@SUM(1+9)*cmd.tif")
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=500, y=500)
    cells = [cell for form in ("csv", "summary") for row in lines(get(slide, form).content) for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@pytest.mark.parametrize("form", ["geojson", "csv", "dicom"])
def test_what_was_exported_comes_back_the_same(client_of, alice, slide, make, get, form, monkeypatch):
    if form == "geojson":
        monkeypatch.setattr(exports, "bounds_offset", lambda slide: (128, 64))
        monkeypatch.setattr("webapp.api.exports.bounds_offset", lambda slide: (128, 64))
    copy = make("copy.tif")
    kind = {"geojson": "application/geo+json", "csv": "text/csv", "dicom": "application/dicom"}[form]

    def send(to):
        body = get(slide, form).content
        address = f"/api/v1/slides/{to.pk}/import/?same_picture=true"
        return client_of(alice).post(address, body, content_type=kind).json()

    done = send(copy)
    assert (done["verdicts"], done["regions"], done["left"]) == (3, 0 if form == "csv" else 2, [])
    figures, regions = reviewed(slide)
    assert reviewed(copy)[0] == figures
    if form != "csv":
        assert reviewed(copy)[1] == regions
        assert [row | {"slide": "", "at": ""} for row in lines(get(copy, "csv").content)] == [
            row | {"slide": "", "at": ""} for row in lines(get(slide, "csv").content)
        ]
    again = send(copy)
    assert (again["verdicts"], again["regions"], again["unchanged"]) == (0, 0, done["verdicts"] + done["regions"])


def test_figures_closer_than_the_matching_radius_and_lines_twice_come_back_too(client_of, alice, make, get):
    rows = [
        (300.0, 300.0, "mitotic"),
        (304.5, 300.0, "non_mitotic"),
        (803.0, 500.0, "mitotic"),
        (800.0, 500.0, "unsure"),
    ]
    body = "x,y,label\n" + "".join(f"{x},{y},{label}\n" for x, y, label in [*rows, rows[0]])
    slide = make()
    done = client_of(alice).post(f"/api/v1/slides/{slide.pk}/import/", body, content_type="text/csv").json()
    assert (done["verdicts"], done["unchanged"], done["left"]) == (4, 1, [])
    assert reviewed(slide)[0] == sorted(rows)
    assert Figure.objects.get(slide=slide, x=800).added is False  # what lies on the candidate has it
    copy = make("copy.tif")
    body = get(slide, "csv").content
    client_of(alice).post(f"/api/v1/slides/{copy.pk}/import/?same_picture=true", body, content_type="text/csv")
    assert reviewed(copy) == reviewed(slide)
    body = "x,y,label\n900,900,mitotic\n5,5,mitotic\n5,5,unsure\n"
    answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/import/", body, content_type="text/csv")
    assert answer.status_code == 400 and "both mitotic and unsure" in answer.json()["detail"]
    assert not Figure.objects.filter(slide=slide, x=900).exists()


def test_points_of_qupath_are_a_figure_each_and_a_ring_need_not_be_closed(client_of, alice, make):
    slide = make()
    ring = [[10, 10], [50, 10], [50, 50], [10, 50]]
    done = [
        client_of(alice).post(f"/api/v1/slides/{slide.pk}/import/", body, content_type="application/geo+json").json()
        for body in (feature("Mitosis", "MultiPoint", [[100, 900], [1400, 900]]), feature("Tumor", "Polygon", [ring]))
    ]
    assert [(one["verdicts"], one["regions"]) for one in done] == [(2, 0), (0, 1)]
    assert reviewed(slide)[0] == [(100, 900, "mitotic"), (1400, 900, "mitotic")]
    assert Region.objects.get(slide=slide).polygon == ring


def test_an_import_overwrites_nobody(client_of, alice, slide, get):
    body = get(slide, "csv").content
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=800, y=500, expected=1)
    done = client_of(alice).post(f"/api/v1/slides/{slide.pk}/import/", body, content_type="text/csv").json()
    assert done["left"] == [{"x": 800.0, "y": 500.0, "label": "non_mitotic", "holds": "mitotic"}]
    assert done["verdicts"] == 0
    assert Figure.objects.get(slide=slide, x=800).label == "mitotic"


def test_qupath_opens_it_at_the_right_place(slide, get, monkeypatch):
    monkeypatch.setattr(exports, "bounds_offset", lambda slide: (100, 50))
    body = json.loads(get(slide, "geojson").content)
    assert body["type"] == "FeatureCollection"
    assert body["mitoscope"]["bounds_offset"] == [100, 50]
    first = body["features"][0]
    assert first["geometry"] == {"type": "Point", "coordinates": [400.25, 450.0]}
    assert first["properties"]["classification"]["name"] == "Mitotic figure (AI)"
    assert first["properties"]["measurements"] == {"score": 0.95}
    classes = [f["properties"]["classification"]["name"] for f in body["features"]]
    assert classes.count("Tumor") == classes.count("Exclusion") == 1
    hotspot = next(f for f in body["features"] if f["properties"]["classification"]["name"] == "Hotspot")
    ring = np.array(hotspot["geometry"]["coordinates"][0])
    assert (ring[0] == ring[-1]).all()
    area = abs((ring[:-1, 0] * ring[1:, 1] - ring[1:, 0] * ring[:-1, 1]).sum()) / 2
    measured = hotspot["properties"]["measurements"]
    assert measured["count"] == 2 and measured["evaluable_mm2"] == pytest.approx(0.5)
    assert area / 1e6 > 0.5  # part of it lies on what is excluded


def test_labels_that_qupath_wrote_are_read_by_the_detector_too(slide, get, tmp_path):
    from detector.datasets.qupath import read_labels

    path = tmp_path / "s.geojson"
    path.write_bytes(get(slide, "geojson").content)
    labels = read_labels(path)
    assert [one[:2] for one in labels.mitoses] == [(1500.125, 1100)]
    assert [one[:2] for one in labels.non_mitoses] == [(800, 500)]


def test_midog_counts_in_mm(slide, get):
    body = json.loads(get(slide, "midog").content)
    assert set(body) == {"type", "points", "version"}
    assert [(p["name"], p["point"], p["probability"]) for p in body["points"]] == [
        ("mitotic figure", [pytest.approx(0.50025), 0.5, 0], 0.95), ("non-mitotic figure", [0.8, 0.5, 0], 0.9),
        ("mitotic figure", [1.2, 0.5, 0], 0.6), ("mitotic figure", [pytest.approx(1.500125), 1.1, 0], 1.0),
    ]  # fmt: skip


def test_a_study_comes_as_a_streamed_zip_of_what_one_may_see(client_of, alice, bob, slide, make, make_slide, study):
    make("=two/../x.tif")
    make_slide("no run.tif")
    make("elsewhere.tif", case=Case.objects.create(study=Study.objects.get(name="Elsewhere"), identifier="x"))
    assert client_of(alice).get(f"/api/v1/studies/{study.pk}/export/?format=csv").status_code == 403
    study.memberships.update(role="manager")
    answer = client_of(alice).get(f"/api/v1/studies/{study.pk}/export/?format=csv&{QUERY}")
    assert answer.streaming
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as zipped:
        assert zipped.testzip() is None
        names = sorted(zipped.namelist())
        assert len(names) == 3 and "summary.csv" in names
        assert not [name for name in names if "/" in name or ".." in name]
        rows = lines(zipped.read("summary.csv"))
        assert sorted(row["name"] for row in rows) == ["'=two/../x.tif", "s.tif"]
        assert len(lines(zipped.read(next(name for name in names if "s.tif" in name)))) == 5
    assert client_of(bob).get(f"/api/v1/studies/{study.pk}/export/?format=csv").status_code == 404


@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/csv", b"a,b\n1,2\n"), ("text/csv", b"a,b\n"), ("text/csv", b""), ("text/csv", b"x,y,label\n1,2,perhaps\n"),
     ("text/csv", b"x,y,label\nnan,2,mitotic\n"),
     ("text/csv", b"\xff\xfe"), ("application/geo+json", b""),
     ("application/geo+json", b"{"), ("application/geo+json", b"[" * 100_000),
     ("text/csv", b'x,y,label\n1,2,"mitotic\n'), ("application/geo+json", b'{"mitoscope": "x", "features": [1]}'),
     ("application/geo+json", feature("Mitosis", "Point", [10**400, 1])),
     ("application/geo+json", feature("Tumor", "Polygon", [[[5, 5], [5, 5], [5, 5]]])),
     ("application/geo+json", b'{"features": [3]}'), ("application/geo+json", b"7"),
     ("application/geo+json", b'[{"properties": {"classification": {"name": "Mitosis"}}, "geometry": {}}]'),
     ("application/geo+json", b'{"mitoscope": {"bounds_offset": [9, 9]}, "features": []}')],
)  # fmt: skip
def test_files_that_are_none_change_nothing_and_are_answered(client_of, alice, slide, kind, body):
    before = reviewed(slide)
    answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/import/", body, content_type=kind)
    assert answer.status_code == 400
    assert reviewed(slide) == before


def test_dicom_annotations_say_the_same(slide, get):
    stored = annread(io.BytesIO(get(slide, "dicom").content))
    assert (stored.AnnotationCoordinateType, stored.PixelOriginInterpretation) == ("2D", "VOLUME")
    assert (str(stored.PatientID), stored.Modality) == (slide.case.identifier, "ANN")
    points, areas = {}, []
    for group in stored.get_annotation_groups():
        xy = group.get_graphic_data(coordinate_type="2D")
        if group.graphic_type.value == "POLYGON":
            areas.append((group.AnnotationGroupLabel, np.asarray(xy[0])))
            continue
        _, scores, _ = group.get_measurements()
        points[group.AnnotationGroupLabel] = [
            (*map(float, at[0]), *map(float, said)) for at, said in zip(xy, scores, strict=True)
        ]
    assert points == {
        "Mitotic figure (AI), automatic": [(500.25, 500, pytest.approx(0.95)), (1200, 500, pytest.approx(0.6))],
        "Non-mitotic, semiautomatic": [(800, 500, pytest.approx(0.9))],
        "Unsure, semiautomatic": [(300, 900, pytest.approx(0.4))],
        "Mitotic figure, manual": [(1500.125, 1100)],
    }
    assert [name for name, _ in areas][:3] == ["Tumor", "Exclusion", "Hotspot 1"]
    assert areas[0][1].tolist() == TUMOUR


def test_dicom_annotations_point_at_the_image_where_it_is_dicom_and_always_at_the_same(slide, get, make, monkeypatch):
    first, again, other = (annread(io.BytesIO(get(one, "dicom").content)) for one in (slide, slide, make("two.tif")))
    named = [one.ReferencedImageSequence[0].ReferencedSOPInstanceUID for one in (first, again, other)]
    assert named[0] == named[1] != named[2]
    assert first.SOPInstanceUID == again.SOPInstanceUID and first.SeriesDescription
    groups = [[group.AnnotationGroupUID for group in one.AnnotationGroupSequence] for one in (first, again)]
    assert groups[0] == groups[1] and len(set(groups[0])) == len(groups[0])
    changed = annread(io.BytesIO(get(slide, "dicom", "area_mm2=0.5&min_score=0.7").content))
    assert changed.SOPInstanceUID != first.SOPInstanceUID and changed.SeriesInstanceUID == first.SeriesInstanceUID
    own = {"dicom.StudyInstanceUID": "1.2.3", "dicom.SeriesInstanceUID": "1.2.4", "dicom.SOPInstanceUID": "1.2.5"}
    monkeypatch.setattr(exports, "properties_of", lambda slide: own | {"dicom.PatientName": "Doe^Jane"})
    stored = annread(io.BytesIO(get(slide, "dicom").content))
    assert stored.StudyInstanceUID == "1.2.3"
    assert stored.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.4"
    assert stored.ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.5"
    assert "Doe" not in str(stored) and str(stored.PatientID) == slide.case.identifier


def test_the_patient_id_of_dicom_is_the_pseudonym_or_the_files_own_by_a_setting(
    slide, get, client_of, alice, monkeypatch, settings
):
    monkeypatch.setattr(exports, "properties_of", lambda slide: {"dicom.PatientID": "P-4711"})
    for choice, expected in (("pseudonym", slide.case.identifier), ("file", "P-4711")):
        settings.DICOM_PATIENT_ID = choice
        if choice == "file":  # it names the patient
            assert client_of(alice).get(f"/api/v1/slides/{slide.pk}/export/?format=dicom").status_code == 403
            alice.user_permissions.add(Permission.objects.get(codename="view_identity"))
        assert str(annread(io.BytesIO(get(slide, "dicom").content)).PatientID) == expected


def test_what_is_counted_is_told_from_what_is_not(alice, slide, get):
    region_draw(slide=slide, by=alice, kind=Region.Kind.EXCLUSION, polygon=[[1150, 450], [1250, 450], [1200, 560]])
    body = json.loads(get(slide, "geojson", "area_mm2=0.5&min_score=0.5").content)
    named = {
        tuple(one["geometry"]["coordinates"]): one["properties"]["classification"]["name"]
        for one in body["features"]
        if one["geometry"]["type"] == "Point"
    }
    assert named == {
        (500.25, 500.0): "Mitotic figure (AI)", (1200.0, 500.0): "Candidate not counted", (800.0, 500.0): "Non-mitotic",
        (300.0, 900.0): "Unsure", (1500.125, 1100.0): "Mitotic figure",
    }  # fmt: skip
    body = json.loads(get(slide, "geojson", "area_mm2=0.5&min_score=0.97").content)
    names = [one["properties"]["classification"]["name"] for one in body["features"]]
    assert names.count("Candidate below threshold") == 2 and "Mitotic figure (AI)" not in names


def test_dicom_annotations_keep_a_case_of_any_name(alice, slide, get):
    slide.case.identifier = "Fall\\Ä^1=" + "x" * 80
    slide.case.save()
    stored = annread(io.BytesIO(get(slide, "dicom").content))
    assert str(stored.PatientID) == "Fall/Ä^1=" + "x" * 54


def test_nothing_found_is_no_annotation_object_and_says_so(client_of, alice, make_slide, make_run):
    slide = make_slide("empty.tif", mpp=1.0)
    make_run(slide, [])
    answer = client_of(alice).get(f"/api/v1/slides/{slide.pk}/export/?format=dicom")
    assert answer.status_code == 409 and "needs a figure or a region" in answer.json()["detail"]


def test_corrections_of_tissue_come_back_and_the_tissue_of_qupath_is_none(client_of, alice, slide, make, get):
    triangle = [[0, 0], [100, 0], [50, 80]]
    for kind in (Region.Kind.TISSUE, Region.Kind.GLASS):
        region_draw(slide=slide, by=alice, kind=kind, polygon=triangle)
    copy, kind = make("copy.tif"), "application/geo+json"
    address = f"/api/v1/slides/{copy.pk}/import/?same_picture=true"
    client_of(alice).post(address, get(slide, "geojson").content, content_type=kind)
    assert reviewed(copy)[1] == reviewed(slide)[1]
    assert {"tissue", "glass"} <= set(copy.regions.values_list("kind", flat=True))
    rings = [[[0, 0], [90, 0], [90, 90], [0, 0]], [[30, 10], [60, 10], [60, 30], [30, 10]]]  # with a hole
    answer = client_of(alice).post(address, feature("Tissue", "Polygon", rings), content_type=kind)
    assert (answer.status_code, answer.json()["regions"]) == (200, 0)
