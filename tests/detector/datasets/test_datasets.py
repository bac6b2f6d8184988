from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from detector.datasets import read_dataset
from detector.datasets.frames import Label, read_frame, read_mitosis_free
from detector.errors import DataSetError
from tests.drawing import draw_dot, draw_glass, draw_tissue, write_pyramid

BLOB = "10,20,11,20,12,20,10,21,11,21,12,21,10,22,11,22,12,22"


def mitos12(folder, labels, side_by_side=False, size=(140, 130)):
    """A data set of one frame per name with the given label file; None for none."""
    frames, tables = (folder, folder) if side_by_side else (folder / "frames", folder / "labels")
    for number, (name, text) in enumerate(labels.items()):
        for place in (frames, tables):
            place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_tissue(*size, seed=number)).save(frames / f"{name}.png")
        if text is not None:
            (tables / f"{name}.csv").write_text(text, "utf-8")
    return folder


def ami_br(folder, rows, header=",slide,dataset,uid,x,y,expert1_label"):
    (folder / "patches").mkdir(parents=True)
    (folder / "AMI-BR.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    for number, row in enumerate(rows):
        parts = row.split(",")
        path = folder / "patches" / f"{parts[2]}_{parts[3]}.jpg"
        Image.fromarray(draw_tissue(128, 128, mitoses=[(64, 64)], seed=number)).save(path, quality=90)
    return folder


AMI_ROWS = [
    "0,002.tiff,MIDOG21,6,4422,216,NMF",
    "1,002.tiff,MIDOG21,7,1867,1583,AMF",
    "2,002.tiff,MIDOG21,8,1897,1543,AMF",
    "3,002.tiff,TUPAC16,9,100,100,AMF",
    "4,010.tiff,MIDOG21,10,1867,1583,NMF",
]


@pytest.mark.parametrize("side_by_side", [False, True])
def test_mitos12_has_one_mitosis_per_line_at_the_middle_of_its_pixels(tmp_path, side_by_side):
    labels = {"A00_01": f"{BLOB}\n50,60\n", "A00_02": "", "A03_00": f"\ufeff{BLOB},\n\n"}
    cases = read_dataset(mitos12(tmp_path, labels, side_by_side))
    assert [(case.name, [frame.name for frame in case.frames]) for case in cases] == [
        ("A00", ["A00_01", "A00_02"]),
        ("A03", ["A03_00"]),
    ]
    one, two, three = (frame for case in cases for frame in case.frames)
    assert one.mitoses.tolist() == [[11.5, 21.5], [50.5, 60.5]]
    assert two.mitoses.shape == (0, 2)
    assert three.mitoses.tolist() == [[11.5, 21.5]]
    assert (one.source, one.mpp, one.exhaustive) == ("MITOS12", 0.2456, True)
    assert (one.image == draw_tissue(140, 130, seed=0)).all()


def test_the_labels_of_mitos12_lie_on_what_is_drawn_there(tmp_path):
    image = draw_glass(100, 90)
    draw_dot(image, 60.5, 30.5, 6, (0, 0, 0))
    rows, columns = np.nonzero(image[..., 0] < 128)
    mitos12(tmp_path, {"A00_01": ",".join(f"{x},{y}" for x, y in zip(columns, rows, strict=True))})
    Image.fromarray(image).save(tmp_path / "frames" / "A00_01.png")
    (frame,) = read_dataset(tmp_path)[0].frames
    assert frame.mitoses.tolist() == [[60.5, 30.5]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{BLOB}\n10,20,x,21\n", "line 2: not a list of numbers"),
        ("10,20,30\n", "line 1: 3 numbers are no pairs"),
        (f"\n{BLOB}\n\n10,-3\n", "line 4: pixel positions must be numbers from 0 up"),
        ("nan,3\n", "line 1: pixel positions must be numbers from 0 up"),
    ],
)
def test_a_broken_row_of_mitos12_is_named_by_file_and_line(tmp_path, text, reason):
    with pytest.raises(DataSetError, match=rf"A00_02\.csv, {reason}"):
        read_dataset(mitos12(tmp_path, {"A00_01": BLOB, "A00_02": text}))


def test_a_label_outside_of_its_frame_is_refused(tmp_path):
    read_dataset(mitos12(tmp_path, {"A00_01": "139,129"}))
    for text in ("140,20", "20,130"):
        with pytest.raises(DataSetError, match=r"A00_01\.csv, line 1: the label at .* lies outside of A00_01\.png"):
            read_dataset(mitos12(tmp_path, {"A00_01": text}))


def test_a_frame_without_a_label_file_is_refused(tmp_path):
    with pytest.raises(DataSetError, match=r"A00_02\.png has no label file; add labels/A00_02\.csv"):
        read_dataset(mitos12(tmp_path, {"A00_01": BLOB, "A00_02": None}))


def test_files_that_cannot_be_read_are_named(tmp_path):
    mitos12(tmp_path, {"A00_01": BLOB})
    (tmp_path / "labels" / "A00_01.csv").write_bytes(b"\xff\xfe1\x002\x00")
    with pytest.raises(DataSetError, match=r"A00_01\.csv is no text"):
        read_dataset(tmp_path)
    (tmp_path / "labels" / "A00_01.csv").write_text("")
    (tmp_path / "frames" / "A00_01.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DataSetError, match=r"A00_01\.png"):
        read_dataset(tmp_path)


def test_a_frame_of_another_resolution_is_resampled_with_its_labels(tmp_path):
    Image.fromarray(draw_tissue(90, 70, mitoses=[(60, 30)])).save(tmp_path / "frame.png")
    mitoses, look_alikes = [Label(60, 30, "line 1")], [Label(10, 20, "line 2")]
    frame = read_frame(
        tmp_path / "frame.png", case="A", source="drawn", mpp=0.5, mitoses=mitoses, non_mitoses=look_alikes
    )
    assert (frame.image.shape, frame.mpp) == ((140, 180, 3), 0.25)
    assert (frame.mitoses.tolist(), frame.non_mitoses.tolist()) == ([[120, 60]], [[20, 40]])
    assert frame.image[58:62, 118:122].mean() < 90


def test_ami_br_has_one_patch_per_row_with_the_mitoses_around_it(tmp_path):
    cases = read_dataset(ami_br(tmp_path, AMI_ROWS))
    assert [(case.name, len(case.frames)) for case in cases] == [
        ("MIDOG21/002.tiff", 3),
        ("MIDOG21/010.tiff", 1),
        ("TUPAC16/002.tiff", 1),
    ]
    alone, seven, eight = cases[0].frames
    assert alone.mitoses.tolist() == [[64, 64]]
    assert sorted(seven.mitoses.tolist()) == [[64, 64], [94, 24]]
    assert sorted(eight.mitoses.tolist()) == [[34, 104], [64, 64]]
    assert cases[1].frames[0].mitoses.tolist() == [[64, 64]]
    assert alone.image.shape == (128, 128, 3)
    assert not alone.exhaustive
    assert alone.stain == seven.stain != cases[1].frames[0].stain


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("1,002.tiff,MIDOG21,7,left,1583,AMF", "line 3: x and y must be numbers"),
        ("1,002.tiff,MIDOG21,7", "line 3: the line ends too early"),
        ("\n\n1,002.tiff,MIDOG21,7,left,1583,AMF", "line 5: x and y must be numbers"),
        (f"1,002.tiff,MIDOG21,7,{'9' * 200_000},1583,AMF", "after line 2: field larger"),
        ("1,002.tiff,MIDOG21,7,nan,1583,AMF", "line 3: x and y must be numbers"),
    ],
)
def test_a_broken_row_of_ami_br_is_named_by_file_and_line(tmp_path, row, reason):
    with pytest.raises(DataSetError, match=rf"AMI-BR\.csv, {reason}"):
        read_dataset(ami_br(tmp_path, [AMI_ROWS[0], row]))


def test_ami_br_without_its_columns_or_rows_is_refused(tmp_path):
    with pytest.raises(DataSetError, match=r"AMI-BR\.csv: the columns dataset, slide, uid, x, y are needed"):
        read_dataset(ami_br(tmp_path / "renamed", AMI_ROWS, header=",wsi,dataset,uid,x,y,expert1_label"))
    with pytest.raises(DataSetError, match=r"AMI-BR\.csv"):
        read_dataset(ami_br(tmp_path / "empty", []))


def test_a_patch_that_is_missing_or_of_another_size_is_named(tmp_path):
    patch = ami_br(tmp_path, AMI_ROWS) / "patches" / "MIDOG21_7.jpg"
    Image.fromarray(draw_tissue(128, 127)).save(patch)
    with pytest.raises(DataSetError, match=r"MIDOG21_7\.jpg: 128 x 127 px, expected 128 x 128"):
        read_dataset(tmp_path)
    patch.unlink()
    with pytest.raises(DataSetError, match=r"MIDOG21_7\.jpg"):
        read_dataset(tmp_path)


def test_a_folder_of_data_sets_is_read_as_one(tmp_path):
    mitos12(tmp_path / "one", {"A00_01": BLOB})
    ami_br(tmp_path / "two", AMI_ROWS)
    (tmp_path / "three").mkdir()
    names = [case.name for case in read_dataset(tmp_path)]
    assert names == ["A00", "MIDOG21/002.tiff", "MIDOG21/010.tiff", "TUPAC16/002.tiff"]


def test_a_folder_without_a_data_set_is_refused_with_the_layouts_that_are_known(tmp_path):
    with pytest.raises(DataSetError, match=r"holds no data set .*MITOS 2012.*AMi-Br"):
        read_dataset(tmp_path)
    with pytest.raises(DataSetError, match="is not a folder"):
        read_dataset(tmp_path / "none")


def test_a_slide_without_mitoses_is_cut_into_frames_of_tissue(tmp_path):
    image = draw_glass(3200, 800)
    image[:, :2000] = draw_tissue(2000, 800)
    (frame,) = read_mitosis_free(write_pyramid(tmp_path / "dog.tif", image, mpp=0.25))
    assert (frame.case, frame.image.shape, len(frame.mitoses), frame.exhaustive) == ("dog", (800, 2048, 3), 0, True)
    with pytest.raises(DataSetError, match=r"dog\.tif does not say its um per pixel"):
        read_mitosis_free(write_pyramid(tmp_path / "dog.tif", image[:300, :300], mpp=None))


def test_the_real_data_sets_are_read_whole(real_data):
    frames = [frame for case in read_dataset(real_data / "mitos12") for frame in case.frames]
    assert (len(frames), sum(len(frame.mitoses) for frame in frames)) == (35, 226)
    # Labels lie on dark nuclei, which tells x from y.
    at_labels = [frame.image[int(y), int(x)].mean() for frame in frames for x, y in frame.mitoses]
    assert np.mean(at_labels) < np.mean([frame.image[::50, ::50].mean() for frame in frames]) - 40
    patches = [frame for case in read_dataset(real_data / "ami_br") for frame in case.frames]
    assert len(patches) == 3720
