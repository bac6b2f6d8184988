"""`python -m detector.datasets FOLDER`: read a labelled data set; prints its frames, or why it is refused, as JSON.

The process confines itself to FOLDER before it looks into it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from detector.datasets import describe_folder, read_dataset
from detector.errors import DataSetError
from detector.frames import LabelledFrame
from detector.slide.confine import confine, end_with_parent, limit

_SECONDS = 3600  # of processor time


def main() -> int:
    """Exit status 0 also for a refused set: refusing is a result."""
    end_with_parent()
    folder = Path(sys.argv[1])
    limit(memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), seconds=_SECONDS)
    confine(folder)
    try:
        cases = read_dataset(folder)
        frames = [_facts(frame) for case in cases for frame in case.frames]
        print(json.dumps({"found": describe_folder(folder, cases), "frames": frames}))
    except DataSetError as error:
        print(json.dumps({"refused": str(error)}))
    except MemoryError:
        print(json.dumps({"refused": "this data set needs more memory than there is; import it in parts"}))
    return 0


def _facts(frame: LabelledFrame) -> dict[str, object]:
    """All of a frame but its pixels. Positions in px of the frame."""
    return {
        "name": frame.name,
        "case": frame.case,
        "source": frame.source,
        "mpp": frame.mpp,
        "width": frame.image.shape[1],
        "height": frame.image.shape[0],
        "mitoses": frame.mitoses.round(2).tolist(),
        "non_mitoses": frame.non_mitoses.round(2).tolist(),
        "exhaustive": frame.exhaustive,
    }


if __name__ == "__main__":
    sys.exit(main())
