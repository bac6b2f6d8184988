"""The score of a figure: the same however it is turned, and the mean that a slow reference finds."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import torch
from PIL import Image

from detector import paper
from detector.detection.detect import FIGURE_RIM, Cancelled, detect, scan, with_figures
from detector.detection.scorer import Scorer, load_scorer
from detector.detection.turned import flips_and_rotations
from detector.detection.windows import plan_windows
from detector.errors import WeightsError
from detector.model.checkpoint import load_figure_scale, save_weights
from detector.model.figure_scale import FigureScale
from detector.model.network import mitosis_logit
from detector.slide import ArrayFrame, WorkingFrame, open_slide
from tests.drawing import ArraySlide, DarkScorer, draw_dot, draw_tissue

SIDE = paper.PATCH_SIZE + 2 * FIGURE_RIM


def patch_logit(network, patch):
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(patch)).permute(2, 0, 1)[None].float()
        return float(mitosis_logit(network(x)))


def test_a_figure_scores_the_same_however_it_is_turned(network):
    scorer = Scorer(network, device="cpu", precision="fp32")
    crop = draw_tissue(SIDE, SIDE, mitoses=[(70, 74)])
    turned = scorer.figure_logits(list(flips_and_rotations(crop)))
    np.testing.assert_allclose(turned, turned[0], atol=1e-4)
    cells = [patch_logit(network, part[:128, :128]) for part in flips_and_rotations(crop)]
    assert np.std(cells) > 1e-3, "a cell does not"


def test_the_figures_of_a_map_are_the_means_of_a_slow_reference(network):
    scorer = Scorer(network, figures=FigureScale(0.7, 3.0), device="cpu", precision="fp32")
    image = draw_tissue(SIDE + 40, SIDE + 24)  # under 6 x 4 cells, and their rim
    logits = scorer.logits(image[FIGURE_RIM:-FIGURE_RIM, FIGURE_RIM:-FIGURE_RIM])
    cells = with_figures(scorer, image, logits, floor=0.001)
    assert len(cells.m_xy) == logits.size == 24
    for (column, row), found in zip(cells.m_xy.tolist(), cells.figures.tolist(), strict=True):
        near = logits[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
        assert np.isnan(found) == (near.max() > logits[row, column]), "peaks alone"
        if not np.isnan(found):
            crop = image[row * 8 : row * 8 + SIDE, column * 8 : column * 8 + SIDE]
            patches = [
                patch_logit(network, turned[y : y + 128, x : x + 128])
                for turned in flips_and_rotations(crop)
                for y in (0, 8, 16)
                for x in (0, 8, 16)
            ]
            assert found == pytest.approx(0.7 * np.mean(patches) + 3.0, abs=1e-4)
    assert np.isfinite(cells.figures).any()


def test_a_peak_that_is_far_from_a_detection_as_it_lies_is_not_turned(network):
    scorer = Scorer(network, figures=FigureScale(1.0, -20.0), device="cpu", precision="fp32")
    scorer.figure_logits = lambda crops: np.full(len(crops), 1 / len(crops))  # fails where there are none
    frame = ArrayFrame(draw_tissue(200, 180))
    with pytest.raises(ZeroDivisionError):
        scan(scorer, frame, plan_windows(frame))


def test_of_very_many_peaks_the_most_likely_are_turned_and_the_others_score_as_they_lie(network):
    scorer, turned = Scorer(network, figures=FigureScale(1.0, 20.0), device="cpu", precision="fp32"), []
    scorer.figure_logits = lambda crops: turned.extend(crops) or np.full(len(crops), 7.0)
    image = draw_tissue(600, 600)
    logits = scorer.logits(image[FIGURE_RIM:-FIGURE_RIM, FIGURE_RIM:-FIGURE_RIM])
    figures = with_figures(scorer, image, logits, floor=0.0).figures
    assert len(turned) == paper.FIGURES_LEAST < np.isfinite(figures).sum()
    assert (figures == 27.0).sum() == len(turned)


@pytest.mark.parametrize(("x", "found"), [(4, False), (14, True), (496, False), (486, True)])
def test_nothing_counts_at_the_border_of_a_frame_but_at_that_of_a_slide_it_does(x, found, tmp_path):
    image = draw_tissue(500, 431)
    draw_dot(image, x, 200, 14)
    assert len(detect(DarkScorer(), ArrayFrame(image)).xy) == 1
    assert len(detect(DarkScorer(), ArrayFrame(image, cut=True)).xy) == found
    Image.fromarray(image).save(tmp_path / "frame.png")
    with open_slide(tmp_path / "frame.png") as flat:
        assert len(detect(DarkScorer(), WorkingFrame(flat, (0.25, 0.25))).xy) == found
    assert len(detect(DarkScorer(), WorkingFrame(ArraySlide(image), (0.25, 0.25))).xy) == 1


def test_the_border_is_as_wide_on_a_scan_of_another_resolution():
    image = np.repeat(np.repeat(draw_tissue(500, 431), 2, axis=0), 2, axis=1)
    draw_dot(image, 13, 400, 28)  # 6.5 px of the working resolution from the border
    assert len(detect(DarkScorer(), WorkingFrame(ArraySlide(image), (0.125, 0.125))).xy) == 1
    assert len(detect(DarkScorer(), WorkingFrame(ArraySlide(image), (0.125, 0.125), cut=True)).xy) == 0


def test_a_file_of_weights_keeps_its_scale_and_one_without_has_the_default(network, tmp_path):
    save_weights(network, tmp_path / "scaled.safetensors", {}, figures=FigureScale(0.8, -0.25))
    save_weights(network, tmp_path / "plain.safetensors", {})
    scaled, plain = (load_scorer(tmp_path / f"{name}.safetensors", device="cpu")[0] for name in ("scaled", "plain"))
    assert (scaled.figures, plain.figures) == (FigureScale(0.8, -0.25), FigureScale())
    save_weights(network, tmp_path / "nan.safetensors", {}, figures=FigureScale(1.0, float("nan")))
    with pytest.raises(WeightsError, match="no finite number"):
        load_figure_scale(tmp_path / "nan.safetensors")


def test_a_scale_and_its_inverse():
    scale, scores = FigureScale(0.6, -1.2), np.array([0.001, 0.2, 0.5, 0.999])
    np.testing.assert_allclose(scale.scores(scale.means(scores)), scores)
    np.testing.assert_allclose(scale.logits(scale.means(scores)), np.log(scores / (1 - scores)), rtol=1e-6)


def test_a_scan_that_is_stopped_reads_no_more_when_it_has_ended(monkeypatch):
    monkeypatch.setattr(paper, "RECTANGLE_WINDOWS", 1)
    frame, ended = ArrayFrame(draw_tissue(2400, 1800)), []
    read, numbers = frame._read_inside, itertools.count()

    def slow(*region):
        time.sleep(0.2 if next(numbers) else 0)  # all but the first are on their way when it is stopped
        ended.append(time.monotonic())
        return read(*region)

    def stop(done):
        raise Cancelled

    plan = plan_windows(frame)
    monkeypatch.setattr(frame, "_read_inside", slow)
    with pytest.raises(Cancelled) as stopped:
        scan(DarkScorer(), frame, plan, progress=stop, readers=3)
    over = time.monotonic()
    time.sleep(0.5)
    assert len(ended) > 1 and max(ended) < over, f"the file may be closed, though {stopped} keeps the call's frames"
