from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from detector import paper
from detector.model.network import ResidualBlock, ResNet12, count_weight_layers, folded, mitosis_logit

sides = st.integers(128, 300)


def an_image(height, width, seed=0):
    return torch.randint(0, 256, (1, 3, height, width), generator=torch.Generator().manual_seed(seed)).float()


def test_has_the_twelve_weight_layers_of_the_paper():
    assert count_weight_layers(ResNet12()) == paper.WEIGHT_LAYERS == 12
    assert count_weight_layers(ResNet12(padded=True)) == 12


@given(height=sides, width=sides)
def test_an_image_of_any_size_gives_one_cell_every_8_px(height, width):
    for padded in (False, True):
        with torch.no_grad():
            out = ResNet12((1,) * 6, padded=padded).eval()(an_image(height, width))
        assert out.shape == (1, 2, (height - 128) // 8 + 1, (width - 128) // 8 + 1)


@given(height=sides, width=sides, data=st.data())
def test_the_logit_of_a_patch_is_the_maps_at_its_cell(network, height, width, data):
    row, column = data.draw(st.integers(0, (height - 128) // 8)), data.draw(st.integers(0, (width - 128) // 8))
    image = an_image(height, width)
    with torch.no_grad():
        whole = mitosis_logit(network(image))[0, row, column]
        patch = mitosis_logit(network(image[..., 8 * row : 8 * row + 128, 8 * column : 8 * column + 128]))[0, 0, 0]
    assert patch.item() == pytest.approx(whole.item(), abs=1e-5)


def test_the_logit_of_a_patch_is_the_maps_also_at_the_papers_widths(make_network):
    network, image = make_network(paper.WIDTHS), an_image(150, 171)
    with torch.no_grad():
        whole = mitosis_logit(network(image))[0]
        patches = torch.cat([image[..., 8 * r : 8 * r + 128, 8 * q : 8 * q + 128] for r in range(3) for q in range(6)])
        single = mitosis_logit(network(patches)).reshape(3, 6)
    assert whole.std() > 1e-3
    torch.testing.assert_close(single, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("widths", "stride"), [((4, 4), 1), ((4, 6), 1), ((4, 4), 2)])
def test_the_short_cut_lies_on_the_pixels_on_which_the_convolutions_are_centred(widths, stride, padded):
    block = ResidualBlock(*widths, stride, padded=padded).eval()
    for conv in (block.conv1, block.conv2):
        conv.weight.data += conv.weight.data.flip(-1, -2)  # symmetric, so that a turned image has a turned map
    x = torch.randn(1, widths[0], 31, 35, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(block(x.flip(-1, -2)), block(x).flip(-1, -2))


@pytest.mark.parametrize("seed", range(3))
def test_the_folded_network_equals_the_original(make_network, seed):
    network, image = make_network(seed=seed), an_image(200, 180, seed)
    with torch.no_grad():
        expected = mitosis_logit(network(image))
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(network).modules())
        torch.testing.assert_close(mitosis_logit(folded(network)(image)), expected, atol=1e-5, rtol=0)


def test_folding_leaves_the_original_and_its_training_mode_alone(make_network):
    network = make_network().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded(network)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_the_first_score_of_an_untrained_network_is_undecided():
    with torch.no_grad():
        scores = torch.sigmoid(mitosis_logit(ResNet12()(an_image(160, 160))))
    assert scores.min() > 0.01 and scores.max() < 0.99


@pytest.mark.parametrize("widths", [(), (32,) * 5, (32,) * 7, (32, 32, 0, 32, 32, 32)])
def test_widths_that_are_no_stem_and_five_blocks_are_refused(widths):
    with pytest.raises(ValueError, match="six positive numbers"):
        ResNet12(widths)
