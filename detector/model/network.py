"""ResNet12: the "12-layer ResNet [6], shown in Fig. 1b" of section 3.1.

Fig. 1b is not in the text that we have, so the widths are ours (`paper.WIDTHS`) and stay a parameter. Twelve weight
layers: one stem, five basic blocks of two 3 x 3 convolutions, one classifier; 1 x 1 projections of short cuts are not
counted, as in He et al.

Nothing is padded. So a patch of 128 x 128 gives one cell, an image of any size gives a map with one cell every 8 px,
and each cell is exactly the score of the patch under it. That is what explains the paper's numbers: windows of 512
overlapping by 120 give 49 x 49 cells each, side by side without a gap.

The paper speaks of "zero-padding in convolutional layers"; `padded=True` is that network. Its map has the same cells,
but a cell then also depends on where the zeros at the border of its window lie (docs/training.md has the comparison).

Letters in shape comments: n images, c channels, h x w pixels, r x q map cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detector import paper


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions and the short cut, cropped to the pixels on which their outputs are centred."""

    def __init__(self, width_in: int, width_out: int, stride: int, *, padded: bool = False) -> None:
        super().__init__()
        padding = int(padded)
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=padding, bias=False)
        self.bn1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=padding, bias=False)
        self.bn2 = nn.BatchNorm2d(width_out)
        self.stride = stride
        # Output i of the two convolutions is centred on input s*(i+1)+1, with padding on input s*i.
        self.first = 0 if padded else stride + 1
        self.projection: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            self.projection = nn.Sequential(nn.Conv2d(width_in, width_out, 1, bias=False), nn.BatchNorm2d(width_out))

    def forward(self, x: Tensor) -> Tensor:  # (n, c, h, w)
        out = torch.relu(self.bn1(self.conv1(x)))  # (n, c', (h-3)//s+1, (w-3)//s+1)
        out = self.bn2(self.conv2(out))  # two less
        rows, columns = out.shape[-2:]
        short = x[..., self.first :: self.stride, self.first :: self.stride][..., :rows, :columns]
        return torch.relu(out + self.projection(short))


class ResNet12(nn.Module):
    """Scores a 128 x 128 patch, or, fully convolutionally, an image of any size.

    Input: float (n, 3, h, w), RGB in 0..255; h and w at least 128. Output: (n, 2, r, q) logits of background and
    mitosis with r = (h - 128) // 8 + 1; cell (i, j) is the patch whose top left pixel is (8 j, 8 i).
    """

    def __init__(self, widths: Sequence[int] = paper.WIDTHS, *, padded: bool = False) -> None:
        super().__init__()
        if len(widths) != 6 or min(widths) < 1:
            raise ValueError(f"widths must be six positive numbers (stem and five blocks), not {tuple(widths)}")
        stem, *blocks = widths
        self.widths, self.padded = tuple(widths), padded
        self.stem = nn.Conv2d(3, stem, 4, stride=2, padding=int(padded), bias=False)
        self.stem_bn = nn.BatchNorm2d(stem)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(width_in, width_out, stride, padded=padded)
                for width_in, width_out, stride in zip(widths, blocks, (1, 2, 1, 2, 1), strict=False)
            )
        )
        self.classifier = nn.Conv2d(blocks[-1], 2, 16 if padded else 5)  # what the blocks leave of a patch
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=paper.HEAD_DEVIATION)
        assert self.classifier.bias is not None
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:  # (n, 3, h, w)
        rows, columns = ((side - paper.PATCH_SIZE) // paper.OUTPUT_STRIDE + 1 for side in x.shape[-2:])
        x = (x - paper.INPUT_MEAN) / paper.INPUT_SCALE
        x = torch.relu(self.stem_bn(self.stem(x)))  # (n, c, (h-4)//2+1, ...), 63 for a patch
        x = self.blocks(x)  # 59, 27, 23, 9, 5 for a patch; padded: 64, 32, 32, 16, 16
        logits: Tensor = self.classifier(x)  # (n, 2, r, q), with padding one more where a side is no multiple of 8
        return logits[..., :rows, :columns]


def count_weight_layers(network: nn.Module) -> int:
    """Convolutions and linear layers on the main path; projections of short cuts are not counted (He et al. 2016)."""
    return sum(
        isinstance(module, nn.Conv2d | nn.Linear) and "projection" not in name
        for name, module in network.named_modules()
    )


def mitosis_logit(logits: Tensor) -> Tensor:  # (n, 2, r, q) -> (n, r, q)
    """Log odds of mitosis; its sigmoid is the softmax probability that the paper calls the score."""
    return logits[:, 1] - logits[:, 0]


@torch.no_grad()
def folded(network: ResNet12) -> ResNet12:
    """A copy for testing: batch normalisation folded into the convolutions before it.

    Equal to the original to rounding (about 1e-5 in the logit), and about 1.2 times as fast.
    """
    copy = ResNet12(network.widths, padded=network.padded)
    copy.load_state_dict(network.state_dict())
    copy.eval()
    copy.stem = torch.nn.utils.fusion.fuse_conv_bn_eval(copy.stem, copy.stem_bn)
    copy.stem_bn = nn.Identity()  # type: ignore[assignment]
    for block in copy.blocks:
        assert isinstance(block, ResidualBlock)
        block.conv1 = torch.nn.utils.fusion.fuse_conv_bn_eval(block.conv1, block.bn1)
        block.conv2 = torch.nn.utils.fusion.fuse_conv_bn_eval(block.conv2, block.bn2)
        block.bn1 = block.bn2 = nn.Identity()  # type: ignore[assignment]
        if isinstance(block.projection, nn.Sequential):
            conv, bn = block.projection
            assert isinstance(conv, nn.Conv2d) and isinstance(bn, nn.BatchNorm2d)
            block.projection = torch.nn.utils.fusion.fuse_conv_bn_eval(conv, bn)
    return copy
