"""The files of a labelled set become frames that can be learnt from."""

from __future__ import annotations

import json

from detector.errors import DataSetError
from webapp.jobs.stored import ImportParameters, ShardFacts
from webapp.retraining.models import LabelledSet
from webapp.retraining.sets import FrameFacts, set_frames_save
from worker.apart import read_apart
from worker.shard import ClaimedShard


def run_import(shard: ClaimedShard) -> None:
    """Read the set that the job names; what is wrong with it is said in the words of the reader."""
    labelled_set = LabelledSet.objects.get(pk=ImportParameters.from_json(shard.job.parameters).set)
    shard.begin(ShardFacts())
    said = json.loads(read_apart(shard, "detector.datasets", labelled_set.folder, what="this set"))
    if "refused" in said:
        raise DataSetError(said["refused"])
    frames = [FrameFacts(**frame) for frame in said["frames"]]
    shard.complete(lambda: set_frames_save(labelled_set=labelled_set, frames=frames, found=said["found"]))
