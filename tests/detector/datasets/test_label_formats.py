from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from detector.datasets import midog, mitos_atypia14, read_dataset, slide_runner, tupac16
from detector.errors import DataSetError
from tests.drawing import draw_tissue

REAL = Path(os.environ["MITOSCOPE_DATA"]) / "label_formats" if os.environ.get("MITOSCOPE_DATA") else None
needs_real = pytest.mark.skipif(REAL is None or not REAL.is_dir(), reason="MITOSCOPE_DATA names no label_formats")


def image(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw_tissue(300, 200, seed=seed)).save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, "utf-8")


def labels_of(cases):
    return {
        (case.name, frame.name): (frame.mitoses.round(3).tolist(), frame.non_mitoses.round(3).tolist())
        for case in cases
        for frame in case.frames
    }


def make_tupac16(folder):
    text(folder / "mitoses_ground_truth/01/01.csv", "120,210\n10,20,0.8\n")
    text(folder / "mitoses_ground_truth/01/02.csv", "")
    text(folder / "mitoses_ground_truth/02/01.csv", "5,6\n")  # its image is in a part that was not fetched
    text(folder / "nonmitoses_ground_truth/01/01.csv", "30,40\n")
    image(folder / "mitoses_image_data_part_1/01/01.tif")
    image(folder / "mitoses_image_data_part_1/01/02.tif")


def make_mitos_atypia14(folder):
    text(folder / "A03/mitosis/A03_00Aa_mitosis.csv", "210,120,0.8 \n")
    text(folder / "A03/mitosis/A03_00Aa_not_mitosis.csv", "20,10,0.2 \n")
    text(folder / "H03/mitosis/H03_00Aa_mitosis.csv", "")
    image(folder / "A03/frames/x40/A03_00Aa.tiff")
    image(folder / "H03/frames/x40/H03_00Aa.tiff")


MIDOG = {
    "images": [{"id": n, "file_name": f"{n:03}.tiff", "width": 300, "height": 200} for n in (1, 2, 151)],
    "categories": [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic figure"}],
    "annotations": [
        {"bbox": [185, 95, 235, 145], "category_id": 1, "image_id": 1, "id": 1, "labels": [1, 1]},
        {"bbox": [-5, -15, 45, 35], "category_id": 2, "image_id": 1, "id": 2},
        {"bbox": [0, 0, 50, 50], "category_id": 2, "image_id": 2, "id": 3},
    ],
}


def make_midog(folder):
    text(folder / "MIDOG.json", json.dumps(MIDOG))
    for n in (1, 2, 151):
        image(folder / "images" / f"{n:03}.tiff")


def make_slide_runner(folder):
    folder.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(folder / "some.sqlite")
    database.executescript(
        """
        CREATE TABLE Slides(uid, filename, width, height);
        CREATE TABLE Classes(uid, name, color);
        CREATE TABLE Annotations(uid, slide, type, agreedClass, deleted);
        CREATE TABLE Annotations_coordinates(uid, coordinateX, coordinateY, slide, annoId, orderIdx);
        INSERT INTO Slides VALUES (1, '01_stitched1.tif', 300, 200), (2, 'none.tif', 300, 200);
        INSERT INTO Classes VALUES (1, 'Mitose', ''), (2, 'Hard negative', ''), (3, 'Tumour', '');
        INSERT INTO Annotations VALUES (5, 1, 1, 1, 0), (6, 1, 1, 2, 0), (7, 1, 1, 1, 1), (8, 1, 1, 3, 0);
        INSERT INTO Annotations_coordinates VALUES
            (1, 210, 120, 1, 5, 1), (2, 20, 10, 1, 6, 1), (3, 50, 50, 1, 7, 1), (4, 60, 60, 1, 8, 1);
        """
    )
    database.commit()
    database.close()
    image(folder / "01_stitched1.tif")
    image(folder / "none.tif")


def feature(name, kind, coordinates):
    properties = {"classification": {"name": name}} if name else {}
    return {"type": "Feature", "properties": properties, "geometry": {"type": kind, "coordinates": coordinates}}


QUPATH = [
    feature("Mitosis", "Point", [210, 120]),
    feature("Non-mitosis", "Polygon", [[[10, 0], [30, 0], [30, 20], [10, 20], [10, 0]]]),
    feature("Tumour", "Polygon", [[[0, 0], [300, 0], [300, 200], [0, 0]]]),
    feature(None, "Point", [1, 1]),
]


def make_qupath(folder):
    text(folder / "one.geojson", json.dumps({"type": "FeatureCollection", "features": QUPATH}))
    text(folder / "two.png.geojson", "[]")
    image(folder / "one.png")
    image(folder / "two.png")


SAME = [[210.0, 120.0]], [[20.0, 10.0]]
NONE = [], []


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (make_tupac16, {("01", "01"): ([[210, 120], [20, 10]], [[40, 30]]), ("01", "02"): NONE}),
        (make_mitos_atypia14, {("03", "A03_00Aa"): SAME, ("03", "H03_00Aa"): NONE}),
        (make_midog, {("001", "001"): SAME, ("002", "002"): ([], [[25, 25]])}),
        (make_slide_runner, {("01", "01_stitched1"): SAME, ("none", "none"): NONE}),
        (make_qupath, {("one", "one"): SAME, ("two", "two"): NONE}),
    ],
)
def test_labels_of_both_kinds_come_as_x_and_y_by_case(make, expected, tmp_path):
    make(tmp_path / "set")
    cases = read_dataset(tmp_path / "set")
    assert labels_of(cases) == expected
    assert all(frame.exhaustive for case in cases for frame in case.frames)
    assert labels_of(read_dataset(tmp_path)) == labels_of(cases), "found below a folder of several sets as well"


def make_mitos12(folder):
    text(folder / "labels/A00_01.csv", "210,120\n")
    image(folder / "frames/A00_01.png")


def link_everything(source, target):
    """`source` again, of nothing but symbolic links: to each file, and to folders elsewhere."""
    target.mkdir()
    for path in source.iterdir():
        if path.is_dir():
            elsewhere = target.with_name(f"{target.name}-{path.name}")
            link_everything(path, elsewhere)
            (target / path.name).symlink_to(elsewhere)
        else:
            (target / path.name).symlink_to(path)
    (target / "circle").symlink_to(target)
    (target / "nowhere").symlink_to(target / "gone")


@pytest.mark.parametrize(
    "make", [make_mitos12, make_tupac16, make_mitos_atypia14, make_midog, make_slide_runner, make_qupath]
)
def test_sets_behind_symbolic_links_are_read_as_they_are(make, tmp_path):
    make(tmp_path / "real")
    link_everything(tmp_path / "real", tmp_path / "links")
    several = tmp_path / "several"
    several.mkdir()
    (several / "set").symlink_to(tmp_path / "links")
    found = labels_of(read_dataset(tmp_path / "real"))
    assert found
    assert labels_of(read_dataset(tmp_path / "links")) == found
    assert labels_of(read_dataset(several)) == found


def test_the_two_scanners_of_mitos_atypia_are_resampled_to_one_resolution(tmp_path):
    make_mitos_atypia14(tmp_path)
    (case,) = read_dataset(tmp_path)
    aperio, hamamatsu = case.frames
    assert aperio.image.shape == (200, 300, 3) and hamamatsu.image.shape[1] == pytest.approx(300 * 0.2275 / 0.25, abs=1)


def midog_of(bbox=(10, 10, 60, 60), **others):
    """A MIDOG file with one annotation."""
    annotation = {"image_id": 1, "category_id": 1, "bbox": bbox}
    return json.dumps({"images": [{"id": 1, "file_name": "1.tiff"}], "annotations": [annotation]} | others)


def test_the_categories_of_midog_are_read_by_their_names(tmp_path):
    swapped = [{"id": 1, "name": "hard negative"}, {"id": 2, "name": "mitotic figure"}]
    for categories, kinds in (([], (1, 0)), (swapped, (0, 1))):
        (tmp_path / "MIDOG.json").write_text(midog_of(categories=categories), "utf-8-sig")  # as Windows writes it
        labels = midog.read_labels(tmp_path / "MIDOG.json")["1.tiff"]
        assert (len(labels.mitoses), len(labels.non_mitoses)) == kinds


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE Annotations_coordinates SET coordinateX = '7 px' WHERE annoId = 5", "annotation 5: no numbers"),
        ("DELETE FROM Annotations_coordinates WHERE annoId = 5", "annotation 5: no numbers"),
        ("UPDATE Annotations SET slide = 9 WHERE uid = 5", "Annotations 5: there is no slide 9"),
        ("UPDATE Annotations SET agreedClass = 77 WHERE uid = 5", "Annotations 5: there is no class 77"),
        ("UPDATE Annotations SET slide = 9, deleted = NULL WHERE uid = 5", "Annotations 5: there is no slide 9"),
    ],
)
def test_a_broken_row_of_a_slide_runner_database_is_named(tmp_path, change, why):
    make_slide_runner(tmp_path)
    with closing(sqlite3.connect(tmp_path / "some.sqlite")) as database, database:
        database.execute(change)
    with pytest.raises(DataSetError, match=why):
        read_dataset(tmp_path)


def test_a_qupath_file_may_have_dots_in_its_name(tmp_path):
    make_qupath(tmp_path)
    for suffix in ("geojson", "png"):
        (tmp_path / f"one.{suffix}").rename(tmp_path / f"case.01.{suffix}")
    assert "case.01" in [case.name for case in read_dataset(tmp_path)]


@pytest.mark.parametrize(
    ("make", "broken", "content", "named"),
    [
        (make_tupac16, "mitoses_ground_truth/01/01.csv", "1,2\n3\n", "01.csv, line 2"),
        (make_tupac16, "nonmitoses_ground_truth/01/01.csv", "a,b\n", "01.csv, line 1"),
        (make_mitos_atypia14, "A03/mitosis/A03_00Aa_mitosis.csv", "\n1,-2,0.8\n", "mitosis.csv, line 2"),
        (make_mitos_atypia14, "A03/mitosis/A03_00Aa_not_mitosis.csv", "1,nan,0\n", "not_mitosis.csv, line 1"),
        (make_midog, "MIDOG.json", "{", "MIDOG.json is no json"),
        (make_midog, "MIDOG.json", '{"images": []}', "annotations"),
        (make_slide_runner, "some.sqlite", "no database", "some.sqlite is no SlideRunner database"),
        (make_qupath, "one.geojson", '{"features": 3}', "one.geojson"),
        (make_qupath, "one.geojson", json.dumps([QUPATH[0], feature("Mitosis", "Point", [])]), r"features\[1\]"),
        (make_qupath, "one.geojson", json.dumps([feature("Mitosis", "Point", [float("nan"), 1])]), r"features\[0\]"),
        (make_tupac16, "mitoses_ground_truth/01/01.csv", "5,5\n500,500\n", r"/mitoses\S*01\.csv, line 2: .* outside"),
        (make_tupac16, "nonmitoses_ground_truth/01/01.csv", "\n9,500\n", r"nonmitoses\S*01\.csv, line 2: .* outside"),
        (make_mitos_atypia14, "A03/mitosis/A03_00Aa_not_mitosis.csv", "1,999,0", "not_mitosis.csv, line 1: .* outside"),
        (make_qupath, "one.geojson", json.dumps([QUPATH[0], feature("Mitosis", "Point", [9e5, 1])]), r"features\[1\]"),
        (make_tupac16, "mitoses_ground_truth/01/01.csv", "10,,0.8\n", "line 1"),
        (make_mitos_atypia14, "A03/mitosis/A03_00Aa_mitosis.csv", ",10,20\n", "line 1"),
        (make_qupath, "one.geojson", json.dumps([feature("Mitosis", "Point", ["a", "b"])]), r"features\[0\]"),
        (make_qupath, "one.geojson", json.dumps([feature("Mitosis", "Point", [10**400, 1])]), r"features\[0\]"),
        (make_midog, "MIDOG.json", '{"images":' + "[" * 100_000, "no json"),
        (make_midog, "MIDOG.json", midog_of(bbox="1234"), r"annotations\[0\]"),
        (make_midog, "MIDOG.json", midog_of(bbox=[10**400, 1, 2, 3]), r"annotations\[0\]"),
        (make_midog, "MIDOG.json", midog_of(categories=[{"id": 1, "name": "cell"}]), r"categories\[0\]"),
        (make_midog, "MIDOG.json", midog_of(categories=5), "categories must be a list"),
        (make_midog, "MIDOG.json", midog_of(annotations=[]), "no annotation of any image"),
    ],
)
def test_what_is_broken_is_named(make, broken, content, named, tmp_path):
    make(tmp_path)
    (tmp_path / broken).write_text(content)
    with pytest.raises(DataSetError, match=named):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    "change", [{"bbox": [1, 2, 3]}, {"bbox": "no"}, {"category_id": 3}, {"image_id": 99}, {"bbox": None}]
)
def test_a_broken_annotation_of_midog_is_named_by_its_place(change, tmp_path):
    make_midog(tmp_path)
    annotations = [MIDOG["annotations"][0], MIDOG["annotations"][1] | change]
    (tmp_path / "MIDOG.json").write_text(json.dumps(MIDOG | {"annotations": annotations}))
    with pytest.raises(DataSetError, match=r"MIDOG.json, annotations\[1\]"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("make", [make_tupac16, make_mitos_atypia14, make_midog, make_slide_runner, make_qupath])
def test_labels_without_any_image_are_refused(make, tmp_path):
    make(tmp_path)
    for path in tmp_path.rglob("*"):
        if path.suffix in {".tif", ".tiff", ".png"}:
            path.unlink()
    with pytest.raises(DataSetError, match=r"image"):
        read_dataset(tmp_path)


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("Mitosis", True),
        ("mitotic figure", True),
        ("Mitose", True),
        ("Hard negative", False),
        ("Non-mitosis", False),
        ("non-mitotic cell", False),
        ("not mitotic figure", False),
        ("Mitotic look-alike", False),
        ("Tumour", None),
        ("", None),
    ],
)
def test_classes_are_told_by_their_names(label, kind):
    assert slide_runner.is_mitotic_class(label) is kind


@needs_real
def test_real_label_files():
    assert REAL is not None
    all_of = {p: tupac16.read_labels(p) for p in (REAL / "tupac16/mitoses_ground_truth").glob("*/*.csv")}
    assert len(all_of) > 50
    assert tupac16.read_labels(REAL / "tupac16/mitoses_ground_truth/01/02.csv")[0][:2] == (1229, 514)
    (only,) = mitos_atypia14.read_labels(REAL / "mitos_atypia14/A03_00Aa_mitosis.csv")
    assert only[:2] == (1094, 1223) and only.where.endswith("A03_00Aa_mitosis.csv, line 1")
    assert len(mitos_atypia14.read_labels(REAL / "mitos_atypia14/A03_03Ac_not_mitosis.csv")) >= 3
    first, plus = (midog.read_labels(REAL / "midog" / name) for name in ("MIDOG.json", "MIDOG++.json"))
    assert (len(first), len(plus)) == (150, 503), "the 50 unlabelled images are left out"
    assert first["001.tiff"].non_mitoses[0][:2] == (4361, 371) and plus["553.tiff"].tumour == "human melanoma"
    runner = slide_runner.read_labels(REAL / "slide_runner/MIDOG_HamamatsuXR.sqlite")
    counts = [sum(len(getattr(labels, kind)) for labels in runner.values()) for kind in ("mitoses", "non_mitoses")]
    assert (len(runner), counts) == (50, [451, 724])
    stitched = slide_runner.read_labels(REAL / "slide_runner/TUPAC_stitched.sqlite")
    assert sum(len(labels.mitoses) for labels in stitched.values()) == 1552


def test_patients_whom_two_data_sets_call_alike_stay_two(tmp_path):
    make_tupac16(tmp_path / "tupac")
    make_mitos_atypia14(tmp_path / "atypia")
    for folder in ("mitoses_ground_truth", "nonmitoses_ground_truth", "mitoses_image_data_part_1"):
        (tmp_path / "tupac" / folder / "01").rename(tmp_path / "tupac" / folder / "03")
    alone = [[case.name for case in read_dataset(tmp_path / name)] for name in ("tupac", "atypia")]
    assert alone == [["03"], ["03"]]
    assert [case.name for case in read_dataset(tmp_path)] == ["atypia/03", "tupac/03"]


def test_a_set_with_its_labels_in_mitosis_is_read_beside_the_others(tmp_path):
    make_tupac16(tmp_path / "tupac")
    text(tmp_path / "mitos14" / "mitosis" / "H04_00Aa_mitosis.csv", "100,120,1.0\n")
    image(tmp_path / "mitos14" / "frames" / "H04_00Aa.tiff")
    sources = {frame.source for case in read_dataset(tmp_path) for frame in case.frames}
    assert sources == {"TUPAC16", "MITOS14-H"}


@pytest.mark.parametrize("make", [make_midog, make_qupath, make_mitos_atypia14])
def test_a_set_below_another_is_read_too_and_a_part_of_one_only_once(make, tmp_path):
    make(tmp_path)
    alone = sum(len(case.frames) for case in read_dataset(tmp_path))
    make(tmp_path / "second")
    make_tupac16(tmp_path / "tupac")
    both = [frame.source for case in read_dataset(tmp_path) for frame in case.frames]
    assert len(both) - both.count("TUPAC16") == 2 * alone
    assert "TUPAC16" in both


@pytest.mark.parametrize("bbox", [[200, 200, 50, 50], [10, 200, 60, 50], [200, 10, 50, 60]])
def test_a_box_of_coco_is_refused_and_said_to_be_one(bbox, tmp_path):
    (tmp_path / "MIDOG.json").write_text(midog_of(bbox=bbox))
    with pytest.raises(DataSetError, match=r"MIDOG\.json, annotations\[0\].*ends before it begins.*COCO"):
        midog.read_labels(tmp_path / "MIDOG.json")
