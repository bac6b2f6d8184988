from __future__ import annotations

import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch

from detector import paper
from detector.__main__ import main
from detector.detection.cascade_recall import measure_recall, score_frames, set_recall_threshold
from detector.detection.detect import Cancelled
from detector.detection.scorer import Scorer, logit
from detector.errors import DataSetError, PlanError
from detector.frames import Case, LabelledFrame, lab_statistics, points
from detector.model.checkpoint import load_coarse, save_weights
from detector.model.figure_scale import FigureScale
from detector.model.network import ResNet12
from detector.training.distil import Distiller, distil
from detector.training.plan import Plan
from detector.training.state import TrainingState
from tests.detector.test_main import dataset
from tests.drawing import draw_tissue

PLAN = Plan(
    name="tiny", widths=(2, 2, 2, 2, 2, 2), iterations=60, learning_rate=1e-2, milestones=(), foreground_per_batch=4,
    background_per_batch=4, ema_decay=0.5, hard_negatives_at=(40,), hard_share=0.5,
)  # fmt: skip

LIKELY = FigureScale(1.0, 12.0)  # an untrained network sees a figure from one side only


def frame(name, *, seed, exhaustive=True):
    image = draw_tissue(400, 360, seed=seed)
    return LabelledFrame(name, name, image, points(), points(), 0.25, lab_statistics([image]), "drawn", exhaustive)


@pytest.fixture(scope="module")
def cases():
    return [Case(name, (frame(name, seed=seed),)) for seed, name in enumerate(("A", "B"))]


@pytest.fixture(scope="module")
def fine(make_network, cases):
    """A network that is sure of what it says, and finds something in about one cell of three hundred."""
    network, image = make_network(seed=5), cases[0].frames[0].image
    network.classifier.weight.data *= 3 / Scorer(network, device="cpu", precision="fp32").logits(image).std()
    logits = Scorer(network, device="cpu", precision="fp32").logits(image)
    network.classifier.bias.data[1] -= float(np.quantile(logits, 0.997))
    return network


def distiller(fine, cases, folder, *, report=lambda _: None):
    torch.manual_seed(PLAN.seed)
    state = TrainingState(ResNet12(PLAN.widths), PLAN, checkpoint=folder / "c.checkpoint", inputs="these")
    return Distiller(fine, score_frames(fine, cases, LIKELY), [], state, report)


def same(one, other):
    return all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_a_coarse_network_learns_what_the_fine_one_says(fine, cases, tmp_path):
    said = []
    coarse = distiller(fine, cases, tmp_path, report=said.append).run()
    assert coarse.widths == PLAN.widths and not coarse.training
    losses = [state["loss"] for state in said if "loss" in state]
    assert losses[-1] < losses[0]
    assert [(state["iteration"], state["missed"] > 0) for state in said if "missed" in state] == [(40, True)]


@pytest.mark.usefixtures("ctrl_c_is_heard")
@pytest.mark.parametrize("stop", [10, 45, 55])
def test_a_course_that_was_stopped_ends_at_the_weights_of_one_that_was_not(fine, cases, tmp_path, monkeypatch, stop):
    whole = distiller(fine, cases, tmp_path).run()

    interrupted, step = distiller(fine, cases, tmp_path), TrainingState.step

    def pressed_in_the_middle(state, loss):
        if state.iteration == stop:
            signal.raise_signal(signal.SIGINT)
        step(state, loss)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(TrainingState, "step", pressed_in_the_middle)
        interrupted.run()
    assert interrupted.state.iteration == stop + 1
    resumed = distiller(fine, cases, tmp_path)
    assert same(resumed.run(resume=True), whole)
    assert resumed.hard["false"]


def test_a_checkpoint_of_other_frames_is_not_gone_on_with(fine, cases, tmp_path):
    save_weights(fine, tmp_path / "fine.safetensors", {"name": "fine", "plan": {}})

    def stopped(state):
        raise Cancelled

    course = {"held_out": [], "plan": PLAN, "out": tmp_path / "out.safetensors", "resume": True}
    with pytest.raises(Cancelled):
        distil(tmp_path / "fine.safetensors", cases[:1], **course, report=stopped)
    with pytest.raises(PlanError, match="another plan or other data"):
        distil(tmp_path / "fine.safetensors", cases[1:], **course, report=print)


def test_what_is_mined_is_what_the_coarse_network_is_wrong_about(fine, cases, tmp_path):
    course = distiller(fine, cases, tmp_path)
    course._mine()
    scorer = Scorer(course.state.ema, device="cpu", precision="fp32")
    for key in ("missed", "false"):
        assert course.hard[key]
        for i, x, y in course.hard[key]:
            logits = course.outputs[i].logits
            near = logits[max(0, int(y / 8) - 2) : int(y / 8) + 4, max(0, int(x / 8) - 2) : int(x / 8) + 4]
            assert (
                (near >= logit(paper.PEAK_FLOOR)).any() if key == "missed" else (near < logit(paper.PEAK_FLOOR)).any()
            )
    components = [output.components(scorer.logits(output.image())) for output in course.outputs]
    peaks = np.concatenate([some.coarse for some in components])
    assert len(course.hard["missed"]) == (peaks <= np.quantile(peaks, 0.1)).sum()


def test_with_its_recall_threshold_nothing_is_lost_whatever_the_coarse_network_knows(fine, cases, make_network):
    coarse = make_network((2,) * 6, seed=9)
    set_recall_threshold(coarse, score_frames(fine, cases, LIKELY))
    result = measure_recall(
        Scorer(fine, coarse=coarse, figures=LIKELY, device="cpu", precision="fp32"), score_frames(fine, cases, LIKELY)
    )
    assert result.frames == 2 and result.at_half > 0
    assert (result.lost_at_half, result.added) == (0, 0)


def test_a_cascade_that_looks_nowhere_loses_everything_and_says_so(fine, cases, make_network):
    blind = make_network((2,) * 6, seed=9)
    blind.classifier.bias.data[1] -= 1000
    result = measure_recall(
        Scorer(fine, coarse=blind, figures=LIKELY, device="cpu", precision="fp32"), score_frames(fine, cases, LIKELY)
    )
    assert result.lost_at_half == result.at_half > 0
    assert result.lost_at_floor == result.at_floor and result.looked_at == 0


def test_weights_with_a_cascade_have_its_measurements_on_the_card(fine, cases, tmp_path):
    save_weights(fine, tmp_path / "fine.safetensors", {"name": "fine", "plan": {}})
    plan = replace(PLAN, iterations=2, learning_rate=1e-3, milestones=())
    out = distil(tmp_path / "fine.safetensors", cases[:1], cases[1:], plan, tmp_path / "out.safetensors", report=print)
    coarse, card = load_coarse(out), json.loads(out.with_suffix(".json").read_text())
    assert coarse is not None and coarse.widths == PLAN.widths
    assert card["name"] == "fine" and card["coarse"]["plan"]["name"] == "tiny"
    assert card["coarse"]["kept"]["data"]["lost_at_half"] == 0
    assert card["coarse"]["kept"]["held_out"]["frames"] == 1


def test_without_a_whole_frame_there_is_nothing_to_learn_from(fine, tmp_path):
    with pytest.raises(DataSetError, match="no whole frame"):
        distiller(fine, [Case("c", (frame("patch", seed=1, exhaustive=False),))], tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--held-out", "Z"], "no case is called Z"),
        (["--plan", "nothing"], "there is no plan nothing"),
        (["--weights", "none.safetensors"], "there are no weights at none.safetensors"),
    ],
)
def test_what_distil_cannot_take_is_said_in_one_sentence(arguments, sentence, tmp_path, capsys):
    folder = dataset(tmp_path, ["A00_01"])
    assert main(["distil", str(folder), "--out", str(tmp_path / "out.safetensors"), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_one_of_other_widths_begins_anew_and_one_of_the_same_learns_on(fine, cases, make_network, tmp_path):
    plan = replace(PLAN, iterations=1, learning_rate=1e-3, milestones=())
    for widths, goes_on in (((2,) * 6, True), ((3,) * 6, False)):
        weights = tmp_path / "both.safetensors"
        save_weights(fine, weights, {"name": "b", "coarse": {"plan": {"name": "p"}}}, coarse=make_network(widths))
        out = distil(weights, cases[:1], cases[1:], plan, tmp_path / "out.safetensors", report=print)
        coarse, card = load_coarse(out), json.loads(out.with_suffix(".json").read_text())
        assert coarse is not None and coarse.widths == PLAN.widths
        assert card["coarse"]["before"] == ({"name": "p"} if goes_on else None)


@pytest.mark.parametrize("command", [["distil"], ["average", "w.safetensors", "--dataset", "d", "--held-out", "A"]])
def test_weights_are_written_to_a_file_that_is_called_so(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([*command, "d", "--out", "weights"])
    assert left.value.code == 2
    assert "weights must be a file that ends in .safetensors" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_said_before_the_work(fine, cases, tmp_path):
    save_weights(fine, tmp_path / "fine.safetensors", {"name": "fine", "plan": {}})
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out.safetensors"
    with pytest.raises(OSError, match="file"):
        distil(tmp_path / "fine.safetensors", cases[:1], [], PLAN, out, report=lambda _: pytest.fail("it began"))
