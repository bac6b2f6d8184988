from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml

from detector import paper
from detector.__main__ import main
from detector.detection.scorer import load_scorer
from detector.errors import WeightsError
from detector.model import onnx_file
from detector.model.checkpoint import load_weights, save_weights
from detector.model.figure_scale import FigureScale
from detector.model.network import mitosis_logit
from detector.model.readme import readme_of
from detector.slide.folder import sha256_of
from tests.drawing import draw_tissue

DOCS = Path(__file__).parents[3] / "docs" / "onnx.md"


@pytest.fixture(scope="module")
def weights(make_network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "own.safetensors"
    save_weights(make_network(), path, {"name": "own"}, figures=FigureScale(0.7, 1.3), shifts={"Émile 3": -0.5})
    return path


@pytest.fixture(scope="module")
def session(weights):
    out = weights.with_name("own.onnx")
    assert main(["export", "--onnx", str(out), "--weights", str(weights)]) == 0
    return onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", [(1, 128, 128), (3, 143, 300), (1, 512, 517)])
def test_the_onnx_file_gives_the_cells_of_images_of_any_size(session, weights, shape):
    n, height, width = shape
    image = np.random.default_rng(0).uniform(0, 255, (n, 3, height, width)).astype(np.float32)
    network, _ = load_weights(weights)
    with torch.inference_mode():
        wanted = mitosis_logit(network(torch.from_numpy(image))).numpy()
    np.testing.assert_allclose(session.run(None, {"image": image})[0], wanted, atol=1e-3)


def test_the_onnx_file_says_what_a_count_rests_on(session, weights):
    about = session.get_modelmeta().custom_metadata_map
    assert about["weights_sha256"] == sha256_of(weights)
    assert (about["um_per_px"], about["output_stride"], about["patch_size"]) == ("0.25", "8", "128")
    assert about["scanner_shifts"] == '{"Émile 3": -0.5}'


def test_the_documented_lines_give_the_confidence_of_a_figure(session, weights):
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.S)
    names = {}
    exec(code, names)
    side = paper.PATCH_SIZE + (paper.FIGURE_CELLS - 1) * paper.OUTPUT_STRIDE
    crop = draw_tissue(side, side, mitoses=[(side // 2, side // 2)])
    scorer, _ = load_scorer(weights, device="cpu", precision="fp32")
    (wanted,) = scorer.figures.scores(scorer.figure_logits([crop]))
    assert names["confidence"](session, crop) == pytest.approx(wanted, abs=1e-4)


def test_an_onnx_file_that_differs_from_torch_is_not_written(session, make_network, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "_exported", lambda cells: onnx.load(weights.with_name("own.onnx")))
    save_weights(make_network(seed=1), tmp_path / "other.safetensors", {})
    with pytest.raises(WeightsError, match="gives other logits than torch"):
        onnx_file.write_onnx(tmp_path / "other.safetensors", tmp_path / "out" / "out.onnx")
    assert list((tmp_path / "out").iterdir()) == []


def test_without_the_packages_the_command_says_how_to_get_them(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert main(["export", "--onnx", str(tmp_path / "m.onnx"), "--weights", str(weights)]) == 2
    assert "pip install -r detector/requirements-onnx.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [([], "name what to write"), (["--onnx", "m.pt"], "m.pt must end in .onnx")],
)
def test_what_cannot_be_written_is_said(arguments, sentence, capsys):
    assert main(["export", *arguments]) == 2
    assert sentence in capsys.readouterr().err


METRICS = {"mitoses": 7, "f1_at_0.5": 0.75, "precision": 0.6, "recall": 1.0}


def test_the_readme_has_a_header_that_the_hub_reads(tmp_path, network):
    save_weights(network, tmp_path / "own.safetensors", {"name": "own: a | b"})
    assert main(["export", "--readme", f"{tmp_path}/README.md", "--weights", f"{tmp_path}/own.safetensors"]) == 0
    text = (tmp_path / "README.md").read_text("utf-8")
    _, header, body = text.split("---\n", 2)
    fields = yaml.safe_load(header)
    assert fields["license"] == "apache-2.0"
    assert fields["model-index"] == [{"name": "own: a | b", "results": []}]
    assert "# own: a | b" in body
    assert "Not measured" in body


def test_the_readme_tells_slides_of_a_known_laboratory_from_an_unknown_one():
    left_out = {"plan": "p", "parent": None, "metrics_by_source": {"B": METRICS}}
    card = {"name": "own", "data": [{"source": "A|", "cases": 2, "frames": 3, "mitoses": 4}], "left_out": left_out}
    text = readme_of({**card, "metrics_by_source": {"A": METRICS}}, license="cc-by-4.0")
    _, header, body = text.split("---\n", 2)
    fields = yaml.safe_load(header)
    assert fields["license"] == "cc-by-4.0"
    (model,) = fields["model-index"]
    known, unknown = model["results"]
    assert known["dataset"]["name"] == "A (slides that were not learnt from)"
    assert unknown["dataset"]["name"] == "B (a laboratory that it has not seen)"
    assert {one["type"]: one["value"] for one in known["metrics"]} == {"f1": 0.75, "precision": 0.6, "recall": 1.0}
    assert "| A\\| | 2 | 3 | 4 |" in body
    assert "| B | a laboratory that it has not seen | 7 | 0.750 | 0.600 | 1.000 |" in body
