"""The stain of a slide is comparable with that of frames; one that is not known is scored at every cell."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from detector.__main__ import main
from detector.detection.slide_fit import SlideFit, fit_slide, slide_stain
from detector.frames import cases_of, lab_statistics
from detector.model.checkpoint import save_weights
from detector.model.stains import stain_range
from detector.slide import ArrayFrame, WorkingFrame
from tests.drawing import ArraySlide, draw_hpf, draw_tissue, write_pyramid

TISSUE = draw_tissue(1536, 1280, seed=3)
BLUE = TISSUE[..., ::-1].copy()  # a stain that is far from it


def on_glass(tissue):
    """A slide of 4000 x 3000 px with the tissue somewhere on it, and a black corner."""
    image = np.full((3000, 4000, 3), 243, dtype=np.uint8)
    image[800 : 800 + tissue.shape[0], 1100 : 1100 + tissue.shape[1]] = tissue
    image[:200, :200] = 0
    return image


def values(stain):
    return [*stain.mean, *stain.deviation]


def test_the_stain_of_a_slide_is_that_of_a_frame_of_its_tissue_whatever_glass_is_around():
    frame = lab_statistics([TISSUE])
    slide = ArraySlide(on_glass(TISSUE), downsamples=(1, 4, 16), mpp=(0.25, 0.25))
    for found in (slide_stain(WorkingFrame(slide, (0.25, 0.25))), slide_stain(ArrayFrame(TISSUE))):
        assert values(found) == pytest.approx(values(frame), abs=4)


def test_a_fold_does_not_move_it():
    folded = TISSUE.copy()
    folded[:256, :256] = 40
    assert values(slide_stain(ArrayFrame(folded))) == pytest.approx(values(slide_stain(ArrayFrame(TISSUE))), abs=2)


def test_a_frame_smaller_than_a_region_has_a_stain_and_glass_has_none():
    small = draw_tissue(300, 260)
    assert values(slide_stain(ArrayFrame(small))) == pytest.approx(values(lab_statistics([small])), abs=1e-6)
    assert slide_stain(ArrayFrame(np.full((900, 900, 3), 245, dtype=np.uint8))) is None


def test_a_card_that_says_nothing_has_nothing_said_of_the_slide():
    fit = fit_slide(ArrayFrame(TISSUE), "SS1", {}, {})
    assert fit == SlideFit() and fit.parameters() == {"logit_shift": 0.0}


def test_stain_and_scanner_are_held_against_the_card():
    card = {"stains": stain_range([case_of(TISSUE)]), "scanners": ["SS1"]}
    known = fit_slide(ArrayFrame(TISSUE), "SS1", card, {"SS1": -0.5})
    assert (known.logit_shift, known.scanner_known, known.stain_known) == (-0.5, True, True)
    strange = fit_slide(ArrayFrame(BLUE), "SS2", card, {"SS1": -0.5})
    assert (strange.logit_shift, strange.scanner_known, strange.stain_known) == (0.0, False, False)
    assert strange.parameters()["stain"]["mean"] == [round(value, 2) for value in strange.stain.mean]


def case_of(image):
    return cases_of([replace(draw_hpf("A00_00"), image=image, stain=lab_statistics([image]))])[0]


def test_the_command_scores_every_cell_of_a_stain_that_is_not_known(make_network, tmp_path, capsys):
    weights = tmp_path / "own.safetensors"
    card = {"stains": stain_range([case_of(TISSUE)])}
    save_weights(make_network(), weights, card, coarse=make_network((2,) * 6))
    said = {}
    for name, image in (("known", TISSUE), ("strange", BLUE)):
        slide = write_pyramid(tmp_path / f"{name}.tif", image[:600, :600])
        options = ["--weights", str(weights), "--device", "cpu", "--precision", "fp32"]
        assert main(["detect", str(slide), *options]) == 0
        said[name] = json.loads(capsys.readouterr().out)["parameters"]
    assert (said["known"]["stain_known"], said["known"]["cascade"]) == (True, True)
    assert (said["strange"]["stain_known"], said["strange"]["cascade"]) == (False, False)
    assert "scanner_known" not in said["known"]
