from __future__ import annotations

import copy
import json
import math
import os
import re

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from detector.errors import WeightsError
from detector.model.checkpoint import load_weights, save_weights
from detector.model.network import ResNet12
from detector.slide.folder import sha256_of


@pytest.fixture
def path(network, tmp_path):
    save_weights(network, tmp_path / "own.safetensors", {"name": "own", "data": [{"source": "drawn"}]})
    return tmp_path / "own.safetensors"


def test_a_network_comes_back_as_it_was_with_its_card(network, path):
    again, card = load_weights(path)
    assert again.widths == network.widths
    assert not again.training
    assert {n: t.tolist() for n, t in again.state_dict().items() if "num_batches" not in n} == {
        n: t.tolist() for n, t in network.state_dict().items() if "num_batches" not in n
    }
    assert (card["name"], card["data"], card["sha256"]) == ("own", [{"source": "drawn"}], sha256_of(path))
    assert sorted(p.name for p in path.parent.iterdir()) == ["own.json", "own.safetensors"]


def test_a_zero_padded_network_comes_back_as_one(tmp_path):
    save_weights(ResNet12((2,) * 6, padded=True), tmp_path / "padded.safetensors", {})
    assert load_weights(tmp_path / "padded.safetensors")[0].padded


def test_the_same_weights_have_the_same_hash(network, path):
    for number in range(5):
        save_weights(network, path.with_name(f"{number}.safetensors"), {"name": str(number)})
        assert sha256_of(path.with_name(f"{number}.safetensors")) == sha256_of(path)


def test_the_card_is_json_that_a_person_can_read(path):
    text = path.with_suffix(".json").read_text("utf-8")
    assert json.loads(text)["network"] == "ResNet12"
    assert len(text.splitlines()) > 5


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
def test_a_file_that_was_cut_off_is_refused(path, data):
    whole = path.read_bytes()
    cut = path.with_name("cut.safetensors")
    cut.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(WeightsError, match=r"cut\.safetensors"):
        load_weights(cut)


def test_a_file_of_another_hash_than_its_cards_is_refused(make_network, path):
    save_weights(make_network(seed=1), path.with_name("other.safetensors"), {})
    path.with_name("other.safetensors").replace(path)
    with pytest.raises(WeightsError, match=r"SHA-256 differs"):
        load_weights(path)


def test_a_file_with_a_changed_tensor_is_refused(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match=r"is damaged"):
        load_weights(path)


def test_the_file_itself_says_what_it_is(network, path):
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    hashed = about.pop("tensors_sha256")
    assert re.fullmatch(r"[0-9a-f]{64}", hashed)
    assert about == {
        "network": "ResNet12",
        "widths": json.dumps(list(network.widths)),
        "um_per_px": "0.25",
        "patch_size": "128",
        "output_stride": "8",
    }


def test_files_that_do_not_say_what_they_are_are_read_as_those_of_0_2_0(network, path):
    tensors = load_file(path)
    save_file(tensors, path, metadata={"network": "ResNet12"})
    path.with_suffix(".json").write_text(json.dumps({"sha256": sha256_of(path)}))
    assert load_weights(path)[0].widths == network.widths


def test_weights_for_another_resolution_are_refused(path):
    tensors = load_file(path)
    save_file(tensors, path, metadata={"network": "ResNet12", "um_per_px": "0.5"})
    with pytest.raises(WeightsError, match=r"um_per_px 0\.5; here it is 0\.25"):
        load_weights(path)


@pytest.mark.parametrize("card", [None, b"{", b"\xff", b"[]", b"{}"])
def test_weights_without_a_card_that_can_be_read_are_refused(path, card):
    path.with_suffix(".json").unlink()
    if card is not None:
        path.with_suffix(".json").write_bytes(card)
    with pytest.raises(WeightsError, match=r"own\.json"):
        load_weights(path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"no weights at .*none\.safetensors"):
        load_weights(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (None, "another network"),
        ({"network": "VGG"}, "another network"),
    ],
)
def test_weights_of_another_network_are_refused(network, tmp_path, metadata, reason):
    state = {name: t for name, t in network.state_dict().items() if t.is_floating_point()}
    save_file(state, tmp_path / "other.safetensors", metadata=metadata)
    with pytest.raises(WeightsError, match=reason):
        load_weights(tmp_path / "other.safetensors")


@pytest.mark.parametrize("change", ["missing", "extra", "other shape", "a number"])
def test_tensors_that_do_not_fit_are_named(network, tmp_path, change):
    state = {name: t for name, t in network.state_dict().items() if t.is_floating_point()}
    if change == "missing":
        del state["stem.weight"]
    elif change == "extra":
        state["stem.bias"] = torch.zeros(4)
    else:
        state["stem.weight"] = torch.zeros(4, 3, 5, 5) if change == "other shape" else torch.tensor(1.0)
    save_file(state, tmp_path / "other.safetensors", metadata={"network": "ResNet12"})
    with pytest.raises(WeightsError, match=r"does not fit ResNet12|stem\.(weight|bias)"):
        load_weights(tmp_path / "other.safetensors")


def test_weights_that_are_no_numbers_are_refused(network, tmp_path):
    broken = copy.deepcopy(network)
    with torch.no_grad():
        broken.stem.weight[0] = math.nan
    save_weights(broken, tmp_path / "nan.safetensors", {})
    with pytest.raises(WeightsError, match="no finite numbers"):
        load_weights(tmp_path / "nan.safetensors")


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pickle_is_refused_without_being_opened(tmp_path):
    torch.save(Trap(tmp_path / "sprung"), tmp_path / "pickle.safetensors")
    with pytest.raises(WeightsError, match="is no safetensors file"):
        load_weights(tmp_path / "pickle.safetensors")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "card", [{"data": "abc"}, {"data": ["drawn"]}, {"parent": "abc"}, {"data": [{"case_names": 5}]}]
)
def test_a_card_of_another_shape_is_refused(network, tmp_path, card):
    save_weights(network, tmp_path / "own.safetensors", card)
    with pytest.raises(WeightsError, match="does not say what was learnt from"):
        load_weights(tmp_path / "own.safetensors")


def test_a_card_nested_without_end_is_refused(path):
    path.with_suffix(".json").write_text("[" * 100_000)
    with pytest.raises(WeightsError, match="cannot be read"):
        load_weights(path)
