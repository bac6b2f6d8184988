"""The files of a labelled set become frames that can be learnt from."""

from __future__ import annotations

from detector.datasets import describe_folder, read_dataset
from detector.frames import LabelledFrame
from webapp.jobs.stored import ImportParameters, ShardFacts
from webapp.retraining.models import LabelledSet
from webapp.retraining.sets import FrameFacts, set_frames_save
from worker.shard import ClaimedShard


def run_import(shard: ClaimedShard) -> None:
    """Read the set that the job names; what is wrong with it is said in the words of the reader."""
    labelled_set = LabelledSet.objects.get(pk=ImportParameters.from_json(shard.job.parameters).set)
    shard.begin(ShardFacts())
    cases = read_dataset(labelled_set.folder)
    frames = [_facts(frame) for case in cases for frame in case.frames]
    found = describe_folder(labelled_set.folder, cases)
    shard.complete(lambda: set_frames_save(labelled_set=labelled_set, frames=frames, found=found))


def _facts(frame: LabelledFrame) -> FrameFacts:
    return FrameFacts(
        name=frame.name,
        case=frame.case,
        source=frame.source,
        mpp=frame.mpp,
        width=frame.image.shape[1],
        height=frame.image.shape[0],
        mitoses=frame.mitoses.round(2).tolist(),
        non_mitoses=frame.non_mitoses.round(2).tolist(),
        exhaustive=frame.exhaustive,
    )
