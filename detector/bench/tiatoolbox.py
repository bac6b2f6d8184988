"""The same network on the same slide by tiatoolbox, for `benchmark --tiatoolbox PYTHON`.

Run by a Python of its own that has tiatoolbox, which needs an older torch than ours. For every line that it reads it
segments the slide once, as tiatoolbox does by default: windows of 512 px in steps of 392 where its own mask finds
tissue, fp32, batches of 4, maps merged on a canvas. It answers with seconds and windows as one line of JSON.
"""

import json
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detector import paper
from detector.model.checkpoint import load_weights
from detector.model.network import mitosis_logit

_STEP = paper.WINDOW_SIZE - paper.WINDOW_OVERLAP


def main(slide: Path, weights: Path, mpp: tuple[float, float]) -> None:
    """Answer until there are no more lines."""
    from tiatoolbox.models.engine.io_config import IOSegmentorConfig
    from tiatoolbox.models.engine.semantic_segmentor import SemanticSegmentor
    from tiatoolbox.models.models_abc import ModelABC

    logging.disable(logging.WARNING)
    windows = [0]

    class Model(ModelABC):  # type: ignore[misc]  # it has no types
        def __init__(self) -> None:
            super().__init__()
            self.network = load_weights(weights)[0].eval()

        def forward(self, images: Tensor) -> Tensor:
            return mitosis_logit(self.network(images))

        @staticmethod
        def infer_batch(model: Any, batch: Tensor, *, device: str) -> NDArray[np.float32]:
            images = batch.permute(0, 3, 1, 2).float().to(device)
            with torch.inference_mode():
                maps: NDArray[np.float32] = torch.sigmoid(model(images)).cpu().numpy()
            windows[0] += len(maps)
            stride = paper.OUTPUT_STRIDE  # its canvas has the resolution of the input
            return maps.repeat(stride, axis=1).repeat(stride, axis=2)[..., np.newaxis]

    units = [{"units": "baseline", "resolution": 1.0}]
    config = IOSegmentorConfig(
        input_resolutions=units,
        output_resolutions=units,
        patch_input_shape=(paper.WINDOW_SIZE, paper.WINDOW_SIZE),
        patch_output_shape=(_STEP, _STEP),
        stride_shape=(_STEP, _STEP),
        save_resolution=units[0],
    )
    segmentor = SemanticSegmentor(Model(), batch_size=4, num_workers=0, device="cpu", verbose=False)
    answers, sys.stdout = sys.stdout, sys.stderr
    for _ in sys.stdin:
        windows[0] = 0
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            segmentor.run(
                [slide], ioconfig=config, patch_mode=False, save_dir=Path(folder) / "out", output_type="zarr",
                wsireader_kwargs={"mpp": mpp},
            )  # fmt: skip
            seconds = time.perf_counter() - began
        answers.write(json.dumps({"seconds": seconds, "windows": windows[0]}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), (float(sys.argv[3]), float(sys.argv[4])))
