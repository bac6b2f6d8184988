"""The files of a labelled set become frames that can be learnt from."""

from __future__ import annotations

from typing import Any

from detector.datasets import read_dataset
from detector.frames import LabelledFrame
from webapp.jobs.stored import ImportParameters, ShardFacts
from webapp.retraining.models import LabelledSet
from webapp.retraining.sets import set_frames_save
from worker.shard import ClaimedShard


def run_import(shard: ClaimedShard) -> None:
    """Read the set that the job names; what is wrong with it is said in the words of the reader."""
    labelled_set = LabelledSet.objects.get(pk=ImportParameters.from_json(shard.job.parameters).set)
    shard.begin(ShardFacts())
    frames = [_fields(hpf) for case in read_dataset(labelled_set.folder) for hpf in case.frames]
    shard.complete(lambda: set_frames_save(labelled_set=labelled_set, frames=frames))


def _fields(hpf: LabelledFrame) -> dict[str, Any]:
    return {
        "name": hpf.name,
        "case": hpf.case,
        "source": hpf.source,
        "mpp": hpf.mpp,
        "width": hpf.image.shape[1],
        "height": hpf.image.shape[0],
        "mitoses": hpf.mitoses.round(2).tolist(),
        "non_mitoses": hpf.non_mitoses.round(2).tolist(),
        "exhaustive": hpf.exhaustive,
    }
