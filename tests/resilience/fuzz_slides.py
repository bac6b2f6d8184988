"""`make fuzz-slides`: a thousand slides with changed headers, each prepared in a confined process of its own.

Each must be opened or refused; a crash of the reader is a refusal too, but is counted. Nothing may be left behind, and
the memory of this process must not grow.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile

from detector.errors import SlideError
from detector.slide.confine import confine, limit
from detector.slide.prepare import prepare

SECONDS = 20  # of processor time for one file


def mutations(path: Path, count: int, seed: int = 7) -> Iterator[bytes]:
    """The file with a few bytes of its TIFF header and directories replaced."""
    whole = path.read_bytes()
    with tifffile.TiffFile(path) as tiff:
        spans = [range(page.offset, min(page.offset + 2 + 12 * len(page.tags) + 4, len(whole))) for page in tiff.pages]
    places = np.concatenate([np.arange(8), *(np.asarray(span) for span in spans)])
    rng = np.random.default_rng(seed)
    for _ in range(count):
        data = bytearray(whole)
        for place in rng.choice(places, rng.integers(1, 6)):
            data[place] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)])
        yield bytes(data)


def prepared(data: bytes, suffix: str, folder: Path) -> str:
    """How preparing these bytes ends: opened, refused, crashed, or out of time."""
    folder.mkdir()
    (folder / f"slide{suffix}").write_bytes(data)
    child = os.fork()
    if child == 0:
        _in_child(folder / f"slide{suffix}", folder)
    _, status = os.waitpid(child, 0)
    shutil.rmtree(folder)
    if os.WIFSIGNALED(status):
        return (
            "out of time"
            if os.WTERMSIG(status) == signal.SIGXCPU
            else f"crashed ({signal.Signals(os.WTERMSIG(status)).name})"
        )
    return {0: "opened", 3: "refused", 4: "out of memory"}.get(os.WEXITSTATUS(status), "an error of ours")


def _in_child(file: Path, folder: Path) -> None:
    end = 5
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(quiet, stream)
        limit(memory_bytes=8 << 30, seconds=SECONDS)
        confine(folder)
        prepare(file, folder)
        end = 0
    except SlideError as error:
        end = 3 if error.reason.endswith(".") else 5
    except MemoryError:
        end = 4
    finally:
        os._exit(end)


def main() -> int:
    """Mutate, prepare, count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", nargs="?", type=Path, help="a TIFF or SVS; drawn where none is given")
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mitoscope-fuzz-") as name:
        work = Path(name)
        slide = options.slide
        if slide is None:
            from detector.slide.drawn import draw_slide

            slide = work / "drawn.tif"
            draw_slide(slide, size=1024, figures=5)
        ends: Counter[str] = Counter()
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number, data in enumerate(mutations(slide, options.count)):
            ends[prepared(data, slide.suffix, work / str(number))] += 1
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        left = [path for path in work.iterdir() if path != slide]
    took = time.monotonic() - began
    print(
        json.dumps(
            {"files": options.count, **ends, "left behind": len(left), "grown_kB": grown, "seconds": round(took)}
        )
    )
    return 1 if left or ends["an error of ours"] else 0


if __name__ == "__main__":
    sys.exit(main())
