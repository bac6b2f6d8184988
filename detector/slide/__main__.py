"""`python -m detector.slide FILE FOLDER [PIXELS]`: prepare an upload; prints its facts, or why it is refused, as JSON.

The process confines itself to FOLDER before it looks into the file.

With PIXELS the file is drawn first, where it is not there: the demonstration slide, a square of this side.
"""

from __future__ import annotations

import sys
from pathlib import Path

from detector.errors import SlideError
from detector.slide.confine import confine, end_with_parent, limit
from detector.slide.prepare import Refusal, SlideFacts, prepare, to_json

_MEMORY_BYTES = 8 << 30  # a flat image of MAX_FLAT_PIXELS needs about 3 GB
_SECONDS = 3600  # of processor time; the worker waits for less than that by the clock


def main() -> int:
    """Exit status 0 also for a refused file: refusing is a result."""
    end_with_parent()  # another worker will prepare the same folder
    file, folder = (Path(argument) for argument in sys.argv[1:3])
    if len(sys.argv) > 3 and not file.exists():
        from detector.slide.drawn import draw_slide

        size = int(sys.argv[3])
        draw_slide(file, size=size, figures=max(3, 60 * size * size // 20_000**2))
    limit(memory_bytes=_MEMORY_BYTES, seconds=_SECONDS)
    confine(folder)
    try:
        found: SlideFacts | Refusal = prepare(file, folder)
    except SlideError as error:
        found = Refusal(error.reason)
    except MemoryError:
        found = Refusal("This file needs more memory than a slide may take.")
    print(to_json(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
