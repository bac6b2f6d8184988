"""Folders of single patches: mitoses of AtNorM, look-alikes."""

from __future__ import annotations

import pytest
from PIL import Image

from detector.datasets import describe_folder, describe_sources, read_dataset
from detector.errors import DataSetError
from tests.drawing import draw_tissue


def patches(folder, names, side=128):
    folder.mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(draw_tissue(side, side, mitoses=[(side / 2, side / 2)], seed=number)).save(folder / name)
    return folder


@pytest.mark.parametrize("below", [True, False])
def test_each_patch_of_atnorm_has_a_mitosis_at_its_centre_and_an_unknown_rim(tmp_path, below):
    home = patches(tmp_path / "br", ["normal_1.png", "atypical_2.png"])
    (case,) = read_dataset(tmp_path if below else home)
    assert case.name == "AtNorM/br"
    assert [frame.name for frame in case.frames] == ["atypical_2", "normal_1"]
    for frame in case.frames:
        assert frame.mitoses.tolist() == [[64, 64]]
        assert len(frame.non_mitoses) == 0
        assert (frame.source, frame.exhaustive, frame.rim_known) == ("AtNorM br", False, False)
    assert case.frames[0].stain != case.frames[1].stain


def test_a_folder_with_other_images_too_is_no_atnorm(tmp_path):
    patches(tmp_path / "br", ["normal_1.png", "overview.png"])
    with pytest.raises(DataSetError, match="holds no data set"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("inside", ["look_alikes", "look_alikes/tupac"])
def test_each_look_alike_has_a_non_mitosis_at_its_centre_and_no_mitosis(tmp_path, inside):
    patches(tmp_path / "look_alikes" / "tupac", ["a.png", "b.jpg"], side=80)
    (case,) = read_dataset(tmp_path / inside)
    assert case.name == "look_alikes/tupac"
    for frame in case.frames:
        assert frame.non_mitoses.tolist() == [[40, 40]]
        assert (len(frame.mitoses), frame.exhaustive, frame.rim_known) == (0, False, False)
    assert describe_sources([case]) == ["look-alikes tupac: 2 patches, 1 case, 0 mitoses, 2 look-alikes"]


def test_a_patch_that_is_too_small_or_broken_is_named(tmp_path):
    patches(tmp_path / "br", ["normal_1.png"], side=127)
    with pytest.raises(DataSetError, match=r"normal_1\.png: 127 x 127 px, expected 128 px a side or more"):
        read_dataset(tmp_path)
    patches(tmp_path / "look_alikes", ["small.png"], side=63)
    with pytest.raises(DataSetError, match=r"small\.png: 63 x 63 px, expected 64 px"):
        read_dataset(tmp_path / "look_alikes")
    (tmp_path / "br" / "normal_1.png").write_bytes(b"no image")
    with pytest.raises(DataSetError, match=r"normal_1\.png"):
        read_dataset(tmp_path)


def test_several_folders_of_patches_are_all_read(tmp_path):
    patches(tmp_path / "tcga", ["normal_1.png"])
    patches(tmp_path / "atnorm" / "md", ["atypical_1.png", "normal_2.png"])
    patches(tmp_path / "look_alikes" / "tupac", ["a.png"])
    assert describe_sources(read_dataset(tmp_path)) == [
        "AtNorM md: 2 patches, 1 case, 2 mitoses",
        "AtNorM tcga: 1 patch, 1 case, 1 mitosis",
        "look-alikes tupac: 1 patch, 1 case, 0 mitoses, 1 look-alike",
    ]


def test_folders_that_are_left_out_are_named(tmp_path):
    patches(tmp_path / "look_alikes" / "tupac", ["a.png"])
    (tmp_path / "notes").mkdir()
    (tmp_path / "other set").mkdir()
    patches(tmp_path / "other set", ["frame.png"], side=400)
    (tmp_path / "other set" / "labels.xml").write_text("<a/>")
    assert describe_folder(tmp_path, read_dataset(tmp_path))[-1] == "left out, no known layout: notes, other set"
    own = tmp_path / "look_alikes"
    assert describe_folder(own, read_dataset(own)) == describe_sources(read_dataset(own))
