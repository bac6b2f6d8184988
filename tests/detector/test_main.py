from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import detector
from detector.__main__ import main
from detector.detection.detect import detect
from detector.detection.scorer import Scorer
from detector.model.checkpoint import save_weights
from detector.slide import ArrayFrame
from detector.slide.folder import sha256_of
from tests.detector.datasets.test_datasets import ami_br
from tests.drawing import draw_tissue, write_pyramid

IMAGE = draw_tissue(300, 260, mitoses=[(100, 90), (220, 200)])


@pytest.fixture
def weights(network, tmp_path):
    save_weights(network, tmp_path / "own.safetensors", {"name": "own"})
    return tmp_path / "own.safetensors"


@pytest.fixture
def frame(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "frame.png")
    return tmp_path / "frame.png"


@pytest.fixture
def run(weights, capsys):
    """Runs a command that needs weights: its exit status, output and error output."""

    def run(*arguments):
        options = ["--weights", weights, "--device", "cpu", "--precision", "fp32"]
        status = main([str(a) for a in [*arguments, *options]])
        return status, *capsys.readouterr()

    return run


def dataset(folder, names):
    for name in names:
        for place in ("frames", "labels"):
            (folder / place).mkdir(parents=True, exist_ok=True)
        Image.fromarray(IMAGE).save(folder / "frames" / f"{name}.png")
        (folder / "labels" / f"{name}.csv").write_text("100,90\n220,200\n")
    return folder


def test_detect_prints_one_json_line_with_the_documented_keys(run, frame, weights, network):
    status, out, _ = run("detect", frame, "--mpp", "0.25", "--min-score", "0.1")
    assert status == 0
    result = json.loads(out)
    assert list(result) == ["slide", "mpp", "model", "parameters", "detections"]
    assert (result["slide"], result["mpp"]) == ("frame.png", [0.25, 0.25])
    assert result["model"] == {"name": "own", "sha256": sha256_of(weights)}
    parameters = result["parameters"]
    assert set(parameters) == {
        "min_score", "nms_radius_um", "working_mpp", "precision", "cascade", "frame_edge", "figure_scale",
        "logit_shift", "code_version",
    }  # fmt: skip
    assert (parameters["min_score"], parameters["nms_radius_um"], parameters["precision"]) == (0.1, 7.5, "fp32")
    found = detect(Scorer(network, device="cpu", precision="fp32"), ArrayFrame(IMAGE, cut=True), min_score=0.1)
    assert len(found.xy) > 0
    assert [list(d) for d in result["detections"]] == [["x", "y", "score"]] * len(found.xy)
    assert [(d["x"], d["y"]) for d in result["detections"]] == pytest.approx(found.xy.round(2))
    assert [d["score"] for d in result["detections"]] == pytest.approx(found.scores, abs=1e-5)


def test_detect_in_midog_format_gives_points_in_mm(run, frame):
    pixels = json.loads(run("detect", frame, "--mpp", "0.5", "--min-score", "0.1")[1])["detections"]
    midog = json.loads(run("detect", frame, "--mpp", "0.5", "--min-score", "0.1", "--format", "midog")[1])
    assert (midog["type"], midog["version"]) == ("Multiple points", {"major": 1, "minor": 0})
    assert len(midog["points"]) == len(pixels) > 0
    for point, pixel in zip(midog["points"], pixels, strict=True):
        assert point["name"] == "mitotic figure"
        assert point["point"] == pytest.approx([pixel["x"] * 0.0005, pixel["y"] * 0.0005, 0], abs=1e-5)
        assert point["probability"] == pytest.approx(pixel["score"], abs=1e-5)


def test_detect_takes_um_per_px_from_the_file_where_it_says_so(run, tmp_path):
    slide = write_pyramid(tmp_path / "slide.tif", IMAGE, mpp=0.5)
    result = json.loads(run("detect", slide)[1])
    assert result["mpp"] == pytest.approx([0.5, 0.5])
    assert result["parameters"]["working_mpp"] == [0.25, 0.25]


def test_several_images_give_one_line_each_in_a_file(run, frame, tmp_path):
    other = tmp_path / "zweiter Ausschnitt.png"
    Image.fromarray(IMAGE[:200]).save(other)
    status, printed, _ = run("detect", frame, other, "--mpp", "0.25", "--out", tmp_path / "out.json")
    lines = (tmp_path / "out.json").read_text("utf-8").splitlines()
    assert (status, printed) == (0, "")
    assert [json.loads(line)["slide"] for line in lines] == ["frame.png", "zweiter Ausschnitt.png"]


def test_a_bad_file_does_not_lose_the_results_before_it(run, frame, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    out = tmp_path / "out.json"
    status, _, message = run("detect", frame, tmp_path / "bad.png", "--mpp", "0.25", "--out", out)
    assert status == 2
    assert "bad.png: It is empty" in message
    assert json.loads(out.read_text())["slide"] == "frame.png"


def assert_one_sentence(result, *words):
    status, out, message = result
    assert (status, out) == (2, "")
    assert message.startswith("detector: ")
    assert len(message.strip().splitlines()) == 1
    for word in words:
        assert word in message


def test_an_image_without_um_per_px_is_refused_with_what_to_do(run, frame):
    assert_one_sentence(run("detect", frame), "frame.png does not say its um per pixel", "--mpp")


def test_bad_input_ends_with_one_sentence(run, frame, tmp_path):
    (tmp_path / "notes.svs").write_text("no slide")
    assert_one_sentence(run("detect", tmp_path / "notes.svs", "--mpp", "0.25"), "notes.svs: It is neither a slide")
    assert_one_sentence(run("detect", tmp_path / "none.svs", "--mpp", "0.25"), "none.svs: There is no such file")
    assert_one_sentence(run("evaluate", tmp_path, "--out", tmp_path / "out.json"), "holds no data set")


@pytest.mark.parametrize("device", ["warp", "cuda:99", "mps", "meta"])
def test_a_device_that_is_not_there_is_refused(weights, frame, capsys, device):
    status = main(["detect", str(frame), "--mpp", "0.25", "--weights", str(weights), "--device", device])
    assert_one_sentence((status, *capsys.readouterr()), device)


def test_weights_that_cannot_be_used_are_refused(frame, weights, capsys):
    weights.with_suffix(".json").unlink()
    status = main(["detect", str(frame), "--mpp", "0.25", "--weights", str(weights)])
    assert_one_sentence((status, *capsys.readouterr()), "own.json")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--mpp", "0"), ("--mpp", "353"), ("--mpp", "nan"), ("--mpp", "abc"), ("--min-score", "50"), ("--format", "csv")],
)
def test_an_option_out_of_range_is_refused(frame, capsys, option, value):
    with pytest.raises(SystemExit) as left:
        main(["detect", str(frame), option, value])
    assert_one_sentence((left.value.code, *capsys.readouterr()), option)


def test_evaluate_writes_the_figures_of_the_chosen_cases(run, tmp_path, weights):
    folder, out = dataset(tmp_path / "mitos", ["A00_00", "A00_01", "A01_00"]), tmp_path / "out.json"
    status, printed, _ = run("evaluate", folder, "--cases", "A00", "--out", out)
    result = json.loads(out.read_text())
    assert status == 0
    assert printed.startswith("MITOS12: 2 frames, 1 case, 4 mitoses\nF1 at 0.5: ")
    assert (result["dataset"], result["weights"]) == ("mitos", sha256_of(weights))
    assert (result["frames"], result["mitoses"], list(result["f1_by_case"])) == (2, 4, ["A00"])
    assert run("evaluate", folder, "--cases", "A00,A01", "--out", out)[0] == 0
    assert json.loads(out.read_text())["frames"] == 3
    assert_one_sentence(run("evaluate", folder, "--cases", "A7", "--out", out), "no case is called A7")


def test_evaluate_says_before_the_work_that_it_cannot_judge_or_write(run, tmp_path, capsys):
    patches = ami_br(tmp_path / "patches", ["1,002.tiff,MIDOG21,7,64,64,AMF"])
    assert_one_sentence(run("evaluate", patches, "--out", tmp_path / "out.json"), "nothing can be judged")
    with pytest.raises(SystemExit) as left:
        run("evaluate", patches, "--out", tmp_path / "none" / "out.json")
    assert_one_sentence((left.value.code, *capsys.readouterr()), "none/out.json cannot be written")


def test_train_writes_weights_that_detect_uses(tmp_path, frame, capsys):
    folder = dataset(tmp_path / "mitos", ["A00_00", "A01_00"])
    (tmp_path / "tiny.toml").write_text(
        "iterations = 2\nlearning_rate = 1e-3\nhard_negatives_at = [1]\nwidths = [4, 4, 4, 4, 4, 4]\n"
        "foreground_per_batch = 1\nbackground_per_batch = 3\n"
    )
    arguments = ["train", folder, "--plan", tmp_path / "tiny.toml", "--out", tmp_path / "run", "--held-out", "A01"]
    cpu = ["--device", "cpu", "--precision", "fp32"]
    assert main([*map(str, arguments), *cpu, "--resume"]) == 0
    said = capsys.readouterr().out
    assert "run holds no checkpoint: from the beginning" in said
    assert "run/weights.safetensors" in said
    card = json.loads((tmp_path / "run" / "weights.json").read_text())
    assert (card["plan"]["name"], card["held_out"][0]["case_names"]) == ("tiny", ["A01"])
    own = ["--weights", str(tmp_path / "run" / "weights.safetensors")]
    assert main(["detect", str(frame), "--mpp", "0.25", *own, *cpu]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["sha256"] == card["sha256"]
    assert main([*map(str, arguments), *cpu, "--resume"]) == 0
    assert "from the beginning" not in capsys.readouterr().out

    assert main([*map(str, arguments), *cpu]) == 2
    assert "holds a training already" in capsys.readouterr().err
    more = ["train", folder, "--plan", tmp_path / "tiny.toml", "--out", tmp_path / "2", "--held-out", "A00"]
    assert main([*map(str, more), *cpu, "--parent", own[1]]) == 2
    assert "has learnt from A00" in capsys.readouterr().err

    assert main([*map(str, [*arguments[:-1], "A9"]), *cpu]) == 2
    assert "no case is called A9" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["detect"], ["evaluate"], ["train"]])
def test_help_says_what_a_command_is_for(capsys, command):
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    assert "usage: python -m detector" in capsys.readouterr().out


def test_runs_as_a_module():
    root = Path(detector.__file__).parent.parent
    done = subprocess.run([sys.executable, "-m", "detector", "--help"], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "detect" in done.stdout


def test_the_slide_part_needs_no_torch():
    root = Path(detector.__file__).parent.parent
    code = "import sys, detector.slide; assert not {'torch', 'django'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0


def test_bad_input_is_one_line_without_the_warnings_of_libraries(tmp_path):
    Image.new("RGB", (300, 300)).save(tmp_path / "cut.tif")
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:60])
    command = [sys.executable, "-m", "detector", "detect", str(tmp_path / "cut.tif")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("detector: cut.tif: It ")
    assert done.stderr.count("\n") == 1


def test_a_file_that_cannot_be_written_is_named(run, frame, tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        run("detect", frame, "--mpp", "0.25", "--out", tmp_path / "nowhere" / "x.json")
    assert left.value.code == 2
    assert "nowhere/x.json cannot be written" in capsys.readouterr().err


def test_nothing_is_lost_where_detect_cannot_write_what_it_was_asked_for(run, frame, tmp_path):
    before = frame.read_bytes()
    status, _, error = run("detect", frame, "--mpp", "0.25", "--out", frame)
    assert (status, frame.read_bytes() == before) == (2, True)
    assert "give --out another name" in error
    (tmp_path / "keep.json").write_text("{}")
    assert run("detect", tmp_path / "none.png", "--out", tmp_path / "keep.json")[0] == 2
    assert (tmp_path / "keep.json").read_text() == "{}"
    status, _, error = run("detect", frame, tmp_path / "none.png", "--mpp", "0.25", "--out", tmp_path / "keep.json")
    assert (status, len((tmp_path / "keep.json").read_text().splitlines())) == (2, 1)


def test_evaluate_tells_sources_apart(run, tmp_path):
    folder = dataset(tmp_path / "mitos", ["A00_00", "A01_00"])
    assert run("evaluate", folder, "--out", tmp_path / "out.json")[0] == 0
    result = json.loads((tmp_path / "out.json").read_text())
    assert set(result["by_source"]) == {"MITOS12"} and result["by_source"]["MITOS12"]["mitoses"] == 4


@pytest.mark.parametrize("agreement", ["0", "1", "nan"])
def test_an_agreement_that_is_none_is_refused_before_the_work(tmp_path, capsys, agreement):
    with pytest.raises(SystemExit) as left:
        main(["reproduce", str(tmp_path), str(tmp_path), "--out", str(tmp_path / "out"), "--agreement", agreement])
    assert left.value.code == 2
    assert "--agreement" in capsys.readouterr().err


def test_the_cascade_is_measured_on_frames_that_are_named(run):
    status, _, said = run("benchmark", "cascade")
    assert status == 2 and "--dataset" in said
