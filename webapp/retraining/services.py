"""Writing the loop: sets come in, cases are locked, slides are mined, samples judged, trainings asked for.

What a training learns from is frozen when it is asked for (`manifest_of`), and guarded: no case is on both sides.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth.models import User
from django.core.files import File
from django.db import transaction
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from detector.errors import SlideError
from detector.hpf import cases_learnt, validation_cases
from detector.slide.archive import unpack
from detector.slide.folder import files_below
from webapp.annotations.models import Figure, Label, Verdict
from webapp.errors import DomainError, InvalidInput
from webapp.jobs.models import Job
from webapp.jobs.services import job_create
from webapp.registry.models import ModelVersion
from webapp.registry.services import version_active, version_note, version_register
from webapp.retraining.models import (
    Judgement,
    LabelledFrame,
    LabelledSet,
    LockedCase,
    MinedSample,
    MinedSlide,
    MiningRun,
    MitosisFreeSlide,
    Removal,
    TrainingRun,
)
from webapp.retraining.plans import checked_plan
from webapp.retraining.provenance import Affected, removed_now
from webapp.retraining.selectors import precision_of
from webapp.slides.models import Slide

_LOG_LINES = 500
FEWEST_MINED = 20  # with fewer mined samples a training is warned of: what that brings is chance (docs/training.md)


# ---- what is known ----------------------------------------------------------------------------------------------


def set_import(*, name: str, source: Path, by: User) -> LabelledSet:
    """Take the files of a labelled set, from a zip or a folder, and have a worker read them.

    Raises InvalidInput where it is neither, where a name leads out of the zip, or where the same set is there already.
    """
    name = name.strip()
    if not name or len(name) > 100 or LabelledSet.objects.filter(name=name).exists():
        raise InvalidInput("Give the set a name of its own, of at most 100 characters.")
    pk = uuid4()
    folder = Path(settings.SET_DIR) / str(pk)
    try:
        _unpack(source, folder)
        sha256 = folder_hash(folder)
        if same := LabelledSet.objects.filter(sha256=sha256).first():
            raise InvalidInput(f"The very same files are there already, as the set {same}.")
        with transaction.atomic():
            job = job_create(kind=Job.Kind.INGEST, by=by, parameters={"set": str(pk)})
            made: LabelledSet = LabelledSet.objects.create(pk=pk, name=name, sha256=sha256, job=job, by=by)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return made


def set_import_upload(*, name: str, file: File[bytes], by: User) -> LabelledSet:
    """`set_import` of a zip that comes with a request."""
    with NamedTemporaryFile(suffix=".zip") as source:
        for chunk in file.chunks():
            source.write(chunk)
        source.flush()
        return set_import(name=name, source=Path(source.name), by=by)


def set_frames_save(*, labelled_set: LabelledSet, frames: Iterable[dict[str, Any]]) -> None:
    """Keep what a worker read: fields of `LabelledFrame` by name."""
    with transaction.atomic():
        LabelledFrame.objects.filter(labelled_set=labelled_set).delete()
        LabelledFrame.objects.bulk_create(LabelledFrame(labelled_set=labelled_set, **frame) for frame in frames)


def folder_hash(folder: Path) -> str:
    """SHA-256 over names and contents of all files, in the order of the names."""
    total = hashlib.sha256()
    for path in files_below(folder):
        with path.open("rb") as file:
            total.update(f"{path.relative_to(folder)}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()


def case_lock(*, name: str, by: User) -> LockedCase:
    """Keep a case for judging: it never trains from now on. Refuses one that the active version has learnt from."""
    if not (LabelledFrame.objects.filter(case=name).exists() or Slide.objects.filter(case__identifier=name).exists()):
        raise InvalidInput(f"No labelled frame and no slide is of a case {name}.")
    active = ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).first()
    if active is not None and name in cases_learnt_by(active):
        raise DomainError(f"{active}, the active version, has learnt from the case {name}; it cannot be judged on it.")
    case, _ = LockedCase.objects.get_or_create(name=name, defaults={"by": by})
    return case


def case_unlock(*, case: LockedCase) -> None:
    """Give a case back to training; not after a judgement, which would no longer be fair to what comes."""
    if not LockedCase.objects.filter(pk=case.pk, used_at=None).delete()[0]:
        raise DomainError(f"Versions have been judged on the case {case}; it stays locked.")


def free_slide_add(*, slide: Slide, by: User) -> MitosisFreeSlide:
    """Take a person's word that a slide is without mitoses, to judge versions on; its case is locked for that.

    Refuses a slide that is not ready, one with a figure that somebody called mitotic, and what `case_lock` refuses.
    """
    if slide.state != Slide.State.READY or slide.mpp is None:
        raise DomainError(f"{slide} is not ready to be looked at; say so when it is.")
    if slide.figures.filter(label=Label.MITOTIC).exists():
        raise DomainError(f"On {slide} somebody has called a figure mitotic, so it is not without mitoses.")
    with transaction.atomic():
        case_lock(name=slide.case.identifier, by=by)
        made, _ = MitosisFreeSlide.objects.get_or_create(slide=slide, defaults={"by": by})
    return made


def free_slide_remove(*, free: MitosisFreeSlide) -> None:
    """Judge versions without this slide from now on; its case stays locked until it is unlocked."""
    free.delete()


def cases_learnt_by(version: ModelVersion) -> set[str]:
    """Names of the cases that a version, and the versions it was begun from, learnt from, as far as records tell."""
    names: set[str] = set()
    for training in TrainingRun.objects.filter(version=version).select_related("parent"):
        names |= set(training.manifest["train"])
        if training.parent is not None:
            names |= cases_learnt_by(training.parent)
    return names | cases_learnt(version.card)


# ---- mine ------------------------------------------------------------------------------------------------------


def mining_request(
    *, slides: Sequence[Slide], by: User, model: ModelVersion | None = None, first_look: float = 0.5,
    agreement: float = 0.8,
) -> MiningRun:  # fmt: skip
    """Look for mitoses in unlabelled slides. Refuses slides of locked cases, and what is not ready, by name."""
    if not slides:
        raise InvalidInput("Choose at least one slide to mine.")
    for name, value in (("first_look", first_look), ("agreement", agreement)):
        if not 0 < value < 1:
            raise InvalidInput(f"{name} lies between 0 and 1.")
    _refuse_locked({slide.case.identifier for slide in slides})
    if unready := [slide.name for slide in slides if slide.state != Slide.State.READY or slide.mpp is None]:
        raise DomainError(f"Not ready to be mined: {', '.join(unready[:5])}. Mine when they are, or without them.")
    model = model or version_active()
    with transaction.atomic():
        job = job_create(
            kind=Job.Kind.MINE, by=by, shards=len(slides), parameters={"slides": [str(slide.pk) for slide in slides]}
        )
        run: MiningRun = MiningRun.objects.create(job=job, model=model, first_look=first_look, agreement=agreement)
        MinedSlide.objects.bulk_create(MinedSlide(run=run, slide=s, index=i) for i, s in enumerate(slides))
    return run


def mined_slide_save(
    *, mined: MinedSlide, samples: Iterable[tuple[float, float, Sequence[float]]], counters: dict[str, int],
    seconds: float,
) -> None:  # fmt: skip
    """Keep the samples (x, y, eight scores) of one slide. Each gets the number that decides whether it is judged."""
    with transaction.atomic():
        MinedSample.objects.filter(run=mined.run, slide=mined.slide).delete()
        MinedSample.objects.bulk_create(
            MinedSample(
                run=mined.run, slide=mined.slide, x=x, y=y, scores=list(scores), least=min(scores),
                draw=_draw(f"{mined.run_id}:{mined.index}:{number}"),
            )
            for number, (x, y, scores) in enumerate(samples)
        )  # fmt: skip
        MinedSlide.objects.filter(pk=mined.pk).update(counters=counters, seconds=seconds)


def mined_sample_judge(*, sample: MinedSample, label: Label, by: User) -> MinedSample:
    """Say what a mined sample is. One that is no mitotic figure, or unsure, is not learnt from."""
    if label not in Label.values:
        raise InvalidInput(f"A verdict is one of {', '.join(value or 'empty' for value in Label.values)}.")
    sample.verdict, sample.verdict_by, sample.verdict_at = label, by, timezone.now()
    sample.save(update_fields=["verdict", "verdict_by", "verdict_at"])
    return sample


def mined_samples_reject(
    *, run: MiningRun, by: User, sample: int | None = None, slide: UUID | None = None, below: float | None = None
) -> int:
    """Leave samples out of what is learnt from: one, those of a slide, or those with a least score below a value."""
    samples = run.samples.exclude(rejected__in=MinedSample.BY_RULE)
    if sample is not None:
        samples, why = samples.filter(pk=sample), MinedSample.Rejected.ONE
    elif slide is not None:
        samples, why = samples.filter(slide=slide), MinedSample.Rejected.SLIDE
    elif below is not None:
        samples, why = samples.filter(least__lt=below), MinedSample.Rejected.SCORE
    else:
        raise InvalidInput("Say what to reject: a sample, a slide, or a score.")
    return samples.update(rejected=why, rejected_by=by, rejected_at=timezone.now())


def mined_samples_restore(*, run: MiningRun) -> int:
    """Take back all rejections of a mining run; verdicts stay."""
    rejected = run.samples.exclude(rejected=MinedSample.Rejected.NO)
    return rejected.update(rejected=MinedSample.Rejected.NO, rejected_by=None, rejected_at=None)


# ---- retrain ---------------------------------------------------------------------------------------------------


def training_request(
    *,
    by: User,
    name: str,
    sets: Sequence[LabelledSet] = (),
    cases: Sequence[str] | None = None,
    verdicts: bool = True,
    mining: Sequence[MiningRun] = (),
    samples: QuerySet[MinedSample] | None = None,
    plan: dict[str, Any] | None = None,
    parent: ModelVersion | None = None,
) -> TrainingRun:
    """Freeze what is to be learnt from, and queue the training.

    cases: of the sets, those to learn from; all that are not locked by default. verdicts: learn from what people said
    of figures on slides, too. mining, samples: mined samples, whole runs of them or single ones. parent: begin with its
    weights. Refuses a locked case that is offered, naming it; mined samples that were not found fit are warned of.
    """
    chosen = checked_plan(plan or {})
    if not (name := name.strip()) or len(name) > 100:
        raise InvalidInput("Give the training a name of at most 100 characters.")
    if parent is not None and parent.pk in removed_now().versions:
        raise DomainError(f"{parent} was made from what has been removed since; begin from scratch or another version.")
    wanted = MinedSample.objects.none() if samples is None else MinedSample.objects.filter(pk__in=samples.values("pk"))
    wanted = wanted | MinedSample.objects.filter(run__in=mining)
    with transaction.atomic():
        known = cases_learnt_by(parent) if parent is not None else set()
        manifest = manifest_of(
            sets=sets, cases=cases, verdicts=verdicts, samples=wanted, seed=chosen["seed"], known=known
        )
        job = job_create(kind=Job.Kind.TRAIN, by=by)
        training: TrainingRun = TrainingRun.objects.create(
            name=name, job=job, parent=parent, plan=chosen, manifest=manifest, manifest_sha256=json_hash(manifest),
            warnings=_warnings(wanted, len(manifest["mined"])),
        )  # fmt: skip
    return training


def training_again(*, training: TrainingRun, by: User, name: str) -> TrainingRun:
    """Ask for a training on what another one was asked for with, less what has been removed since.

    Verdicts are those that hold now, and cases those that are not locked now. Where its parent was made from something
    that has been removed it begins from scratch.
    """
    manifest, removed = training.manifest, removed_now()
    sets = LabelledSet.objects.filter(pk__in=[part["id"] for part in manifest["sets"]]).exclude(pk__in=removed.sets)
    locked = set(LockedCase.objects.values_list("name", flat=True))
    kept = {name for part in manifest["sets"] if UUID(part["id"]) not in removed.sets for name in part["cases"]}
    samples = MinedSample.objects.filter(pk__in=[row["id"] for row in manifest["mined"]])
    return training_request(
        by=by, name=name, sets=list(sets), cases=sorted(kept - locked), verdicts=bool(manifest["figures"]),
        samples=samples.exclude(slide__case__identifier__in=locked), plan=training.plan,
        parent=None if training.parent_id in removed.versions else training.parent,
    )  # fmt: skip


def manifest_of(
    *, sets: Sequence[LabelledSet], cases: Sequence[str] | None, verdicts: bool, samples: QuerySet[MinedSample],
    seed: int, known: Collection[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Everything that a training learns from, with hashes, and the split by case.

    sets: with their cases. figures: places that people judged, with the verdict that held. mined: samples that were
    neither rejected nor judged to be none. slides: of both, with the hash of the file. train, validation, test: names
    of cases; no name is in two of them. What has been removed, and what was made from it, is left out. known: cases
    that the parent has learnt from, on which nothing could be judged.
    """
    removed, locked = removed_now(), set(LockedCase.objects.values_list("name", flat=True))
    parts, labelled = [], set()
    for one in sets:
        if one.pk in removed.sets:
            raise DomainError(f"The set {one} has been removed from training; take that back, or train without it.")
        there = set(one.frames.values_list("case", flat=True))
        if not there:
            raise DomainError(f"The set {one} has not been read yet; its job says how far it is.")
        offered = there - locked if cases is None else there & set(cases)
        parts.append({"id": str(one.pk), "name": one.name, "sha256": one.sha256, "by": one.by_id,
                      "cases": sorted(offered)})  # fmt: skip
        labelled |= offered
    if cases is not None and (missing := set(cases) - labelled):
        raise InvalidInput(f"The sets hold no case {', '.join(sorted(missing))}.")
    figures = _figures(removed, locked) if verdicts else []
    mined = _mined(removed, samples)
    _refuse_locked(labelled | {row["case"] for row in [*figures, *mined]})
    judged = labelled | {row["case"] for row in figures}
    frames = LabelledFrame.objects.filter(labelled_set__in=sets, exhaustive=True)
    exhaustive = set(frames.values_list("case", flat=True))
    validation = validation_cases((labelled & exhaustive) - set(known), seed)
    used = {row["slide"] for row in [*figures, *mined]}
    slides = Slide.objects.filter(pk__in=used).select_related("case")
    manifest = {
        "sets": parts,
        "figures": [row for row in figures if row["case"] not in validation],
        "mined": [row for row in mined if row["case"] not in validation],
        "slides": {str(s.pk): {"name": s.name, "case": s.case.identifier, "sha256": s.sha256} for s in slides},
        "train": sorted((judged | {row["case"] for row in mined}) - set(validation)),
        "validation": validation,
        "test": sorted(locked),
    }
    if not (set(judged) - set(validation)):
        raise InvalidInput("There is nothing labelled to learn from; choose a labelled set, or judge figures first.")
    return manifest


def training_report(*, training: TrainingRun, rows: list[dict[str, Any]], said: str = "") -> None:
    """Keep the curve as it is now, and one more line of the log."""
    with transaction.atomic():
        locked = TrainingRun.objects.select_for_update().get(pk=training.pk)
        locked.curve = rows
        if said:
            locked.log = [*locked.log, {"at": timezone.now().isoformat(), "said": said}][-_LOG_LINES:]
        locked.save(update_fields=["curve", "log"])


def training_finish(*, training: TrainingRun) -> ModelVersion:
    """Register what was trained as a candidate, and have it judged where there is something to judge it on."""
    with transaction.atomic():
        version = version_register(
            weights=training.folder / "weights.safetensors", name=training.name, parent=training.parent
        )
        TrainingRun.objects.filter(pk=training.pk).update(version=version)
        version_note(version=version, key="manifest_sha256", value=training.manifest_sha256)
        if LockedCase.objects.exists() and ModelVersion.objects.filter(state=ModelVersion.State.ACTIVE).exists():
            judgement_request(version=version, by=training.job.requested_by)
    return version


# ---- judge -----------------------------------------------------------------------------------------------------


def judgement_request(*, version: ModelVersion, by: User | None) -> Judgement:
    """Have a version judged against the active one, on the locked cases, which stay locked from now on, and on the
    slides without mitoses."""
    active = version_active()
    if active.pk == version.pk:
        raise DomainError(f"{version} is the active version; there is nothing to judge it against.")
    names = sorted(
        LabelledFrame.objects.filter(case__in=LockedCase.objects.values("name"), exhaustive=True)
        .exclude(labelled_set__in=removed_now().sets)
        .values_list("case", flat=True)
        .distinct()
        .order_by("case")
    )
    if not names:
        raise DomainError("No exhaustively labelled case is locked for judging; lock some on the page Models first.")
    free = MitosisFreeSlide.objects.exclude(slide__in=removed_now().slides).select_related("slide__case")
    if learnt := sorted({*names, *(one.slide.case.identifier for one in free)} & cases_learnt_by(version)):
        raise DomainError(f"{version} has learnt from {', '.join(learnt)}; it cannot be judged there.")
    with transaction.atomic():
        LockedCase.objects.filter(name__in=names, used_at=None).update(used_at=timezone.now())
        job = job_create(kind=Job.Kind.JUDGE, by=by)
        judgement: Judgement = Judgement.objects.create(
            job=job, version=version, active=active, cases=names, slides=[str(one.slide_id) for one in free]
        )
    return judgement


def judgement_save(*, judgement: Judgement, result: dict[str, Any]) -> None:
    """Keep what was found, beside the version and in its card."""
    known = sorted(set(judgement.cases) & cases_learnt_by(judgement.active))
    why = result["why"]
    if known:
        why += f" {judgement.active} has learnt from {', '.join(known)}, so it looks better there than it is."
    with transaction.atomic():
        Judgement.objects.filter(pk=judgement.pk).update(result=result, verdict=result["verdict"], why=why)
        sides = {side: {k: result[side][k] for k in ("max_f1", "f1_at_0.5")} for side in ("candidate", "active")}
        value = {"against": judgement.active.sha256, "cases": judgement.cases, "verdict": result["verdict"], "why": why}
        version_note(version=judgement.version, key="judgement", value={**value, **sides, "rule": result["rule"]})


# ---- remove ----------------------------------------------------------------------------------------------------


def removal_make(
    *, by: User, reason: str, slide: Slide | None = None, person: User | None = None,
    labelled_set: LabelledSet | None = None,
) -> Removal:  # fmt: skip
    """From now on no training uses it, nor what was made from it (`provenance.affected_by` says what that is)."""
    if not reason.strip():
        raise InvalidInput("Say why this is to be removed; the reason is kept with your name.")
    if sum(one is not None for one in (slide, person, labelled_set)) != 1:
        raise InvalidInput("Name one slide, one person or one labelled set.")
    subject = {"slide": slide, "person": person, "labelled_set": labelled_set}
    if Removal.objects.filter(ended_at=None, **subject).exists():
        raise DomainError("This has been removed already.")
    removal: Removal = Removal.objects.create(by=by, reason=reason.strip(), **subject)
    return removal


def removal_end(*, removal: Removal) -> None:
    """Take a removal back; the next training may use it again."""
    if not Removal.objects.filter(pk=removal.pk, ended_at=None).update(ended_at=timezone.now()):
        raise DomainError("This removal has been taken back before.")


# ---- parts -----------------------------------------------------------------------------------------------------


def json_hash(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _refuse_locked(names: set[str]) -> None:
    if locked := sorted(LockedCase.objects.filter(name__in=names).values_list("name", flat=True)):
        raise DomainError(f"Locked for judging, so never learnt from: the case {', '.join(locked)}.")


def _figures(removed: Affected, locked: set[str]) -> list[dict[str, Any]]:
    """The figures that people have judged one way or the other, on slides of cases that are not locked."""
    last = Verdict.objects.filter(figure=OuterRef("pk"), version=OuterRef("version"))
    rows = (
        Figure.objects.filter(label__in=[Label.MITOTIC, Label.NON_MITOTIC], slide__state=Slide.State.READY)
        .exclude(Q(slide__case__identifier__in=locked) | Q(slide__in=removed.slides) | Q(slide__mpp_x=None))
        .annotate(by=Subquery(last.values("by")), at=Subquery(last.values("at")))
        .order_by("slide", "y", "x")
        .values_list("pk", "slide", "slide__case__identifier", "x", "y", "label", "version", "by", "at")
    )
    return [
        {"id": str(pk), "slide": str(slide), "case": case, "x": x, "y": y, "label": label, "version": version,
         "by": by, "at": at.isoformat() if at else None}
        for pk, slide, case, x, y, label, version, by, at in rows
        if by not in removed.people
    ]  # fmt: skip


def _mined(removed: Affected, samples: QuerySet[MinedSample]) -> list[dict[str, Any]]:
    rows = (
        samples.filter(rejected=MinedSample.Rejected.NO, verdict__in=[Label.OPEN, Label.MITOTIC])
        .exclude(Q(slide__in=removed.slides) | Q(run__in=removed.mining_runs))
        .order_by("run", "slide", "y", "x")
        .values_list("pk", "run", "slide", "slide__case__identifier", "x", "y", "least", "verdict", "verdict_by",
                     "verdict_at")
    )  # fmt: skip
    return [
        {"id": pk, "run": str(run), "slide": str(slide), "case": case, "x": x, "y": y, "least": least,
         "verdict": verdict, "by": by, "at": at.isoformat() if at else None}
        for pk, run, slide, case, x, y, least, verdict, by, at in rows
        if by not in removed.people
    ]  # fmt: skip


def _warnings(samples: QuerySet[MinedSample], mined: int) -> list[str]:
    runs = MiningRun.objects.filter(pk__in=samples.values("run"))
    known = {run: precision_of(run=run) for run in runs}
    said = [f"{run}: {precision.sentence}" for run, precision in known.items() if precision.fit is not True]
    if 0 < mined < FEWEST_MINED:
        said.append(
            f"Few mined samples take part: {mined}. So few made a detector worse as often as better. Mine more slides "
            f"first ({FEWEST_MINED} samples or more)."
        )
    return said


def _draw(key: str) -> float:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def _unpack(source: Path, folder: Path) -> None:
    if source.is_dir():
        for path in files_below(source):
            copy = folder / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        return
    folder.mkdir(parents=True)
    try:
        unpack(source, folder)
    except SlideError as error:
        raise InvalidInput(f"A labelled set comes as a zip. {error.reason}") from error
