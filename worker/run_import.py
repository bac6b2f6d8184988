"""The files of a labelled set become frames that can be learnt from."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from detector.datasets import read_dataset
from detector.frames import LabelledFrame
from webapp.jobs.models import Shard
from webapp.jobs.services import job_succeed, shard_begin, shard_finish
from webapp.retraining.models import LabelledSet
from webapp.retraining.sets import set_frames_save
from worker.patience import patiently


def run_import(shard: Shard) -> None:
    """Read the set that the job names; what is wrong with it is said in the words of the reader."""
    labelled_set = LabelledSet.objects.get(pk=shard.job.parameters["set"])
    shard_begin(shard=shard, facts={})
    frames = [_fields(hpf) for case in read_dataset(labelled_set.folder) for hpf in case.frames]

    def keep() -> None:
        with transaction.atomic():
            shard_finish(shard=shard)
            set_frames_save(labelled_set=labelled_set, frames=frames)
            job_succeed(job=shard.job)

    patiently(keep)


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
