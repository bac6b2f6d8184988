"""The rules of the loop: the locked split is guarded, precision is honest, removal reaches everything made from it."""

from __future__ import annotations

import io
import shutil
import zipfile

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.errors import DomainError, InvalidInput
from webapp.jobs.models import Job, Shard
from webapp.jobs.services import shard_claim_next
from webapp.registry.models import ModelVersion, Promotion
from webapp.registry.services import version_promote, version_roll_back
from webapp.retraining.models import (
    Judgement,
    LabelledFrame,
    LabelledSet,
    LockedCase,
    MinedSample,
    MiningRun,
    MitosisFreeSlide,
    Removal,
    TrainingRun,
)
from webapp.retraining.plans import checked_plan
from webapp.retraining.provenance import affected_by, removed_now, sources_of
from webapp.retraining.selectors import estimate_of, model_card, precision_of, samples_to_judge, slides_unlabelled
from webapp.retraining.services import (
    case_lock,
    case_unlock,
    folder_hash,
    free_slide_add,
    judgement_request,
    mined_sample_judge,
    mined_samples_reject,
    mining_request,
    removal_make,
    set_import,
    training_again,
    training_request,
)
from webapp.retraining.wilson import wilson_interval
from webapp.slides.models import Case


@pytest.fixture
def labelled_set(root):
    made = LabelledSet.objects.create(name="set", sha256="a" * 64, by=root)
    LabelledFrame.objects.bulk_create(
        LabelledFrame(
            labelled_set=made, name=f"{case}_00", case=case, source="lab", mpp=0.25, width=300, height=300,
            mitoses=[[10, 10]], non_mitoses=[], exhaustive=True,
        )
        for case in ("A00", "A01", "A02", "A03")
    )  # fmt: skip
    return made


@pytest.fixture
def mined(root, model, make_slide):
    """A mining run of one slide with a hundred samples, least scores 0.80 to 0.99."""
    slide = make_slide()
    run = mining_request(slides=[slide], by=root)
    MinedSample.objects.bulk_create(
        MinedSample(
            run=run, slide=slide, x=i, y=i, scores=[0.8 + i / 500] * 8, least=0.8 + i / 500, draw=(i * 37 % 100) / 100
        )
        for i in range(100)
    )
    return run


@pytest.fixture
def candidate(db, settings):
    settings.MODEL_DIR.mkdir(parents=True, exist_ok=True)
    (settings.MODEL_DIR / "c.safetensors").write_bytes(b"")
    (settings.MODEL_DIR / "m.safetensors").write_bytes(b"")
    return ModelVersion.objects.create(name="c", path="c.safetensors", sha256="c" * 64, card={})


def trained(training, name="made", sha="d"):
    version = ModelVersion.objects.create(name=name, path=f"{name}.safetensors", sha256=sha * 64, card={})
    TrainingRun.objects.filter(pk=training.pk).update(version=version)
    return version


# ---- the locked split ---------------------------------------------------------------------------------------


def test_a_locked_case_that_is_offered_is_refused_by_name(root, labelled_set, mined, make_slide):
    case_lock(name="A01", by=root)
    with pytest.raises(DomainError, match="Locked for judging.*A01"):
        training_request(by=root, name="t", sets=[labelled_set], cases=["A00", "A01"])
    case = mined.slides.get().slide.case.identifier
    case_lock(name=case, by=root)
    with pytest.raises(DomainError, match=f"Locked for judging.*{case}"):
        training_request(by=root, name="t", sets=[labelled_set], mining=[mined])
    with pytest.raises(DomainError, match=case):
        mining_request(slides=[mined.slides.get().slide], by=root)
    assert not TrainingRun.objects.exists()


def test_without_being_offered_locked_cases_stay_out_and_nobody_is_on_two_sides(root, labelled_set, make_slide, study):
    case_lock(name="A01", by=root)
    locked_slide = make_slide(case=Case.objects.create(study=study, identifier="A01"))
    open_slide = make_slide()
    for slide in (locked_slide, open_slide):
        figure_judge(slide=slide, by=root, label=Label.MITOTIC, x=50, y=50)
    manifest = training_request(by=root, name="t", sets=[labelled_set]).manifest
    assert [row["slide"] for row in manifest["figures"]] == [str(open_slide.pk)]
    parts = [set(manifest[name]) for name in ("train", "validation", "test")]
    assert parts[2] == {"A01"}
    assert len(parts[1]) == 1
    assert sum(map(len, parts)) == len(set.union(*parts)) == 5


def test_a_case_that_was_judged_on_stays_locked(root, labelled_set, model, candidate):
    case = case_lock(name="A01", by=root)
    case_unlock(case=case)
    case = case_lock(name="A01", by=root)
    judgement_request(version=candidate, by=root)
    with pytest.raises(DomainError, match="stays locked"):
        case_unlock(case=case)


def test_a_case_that_the_active_version_learnt_from_cannot_be_locked(root, labelled_set, model):
    model.card = {"data": [{"case_names": ["A01"]}]}
    model.save()
    with pytest.raises(DomainError, match="has learnt from the case A01"):
        case_lock(name="A01", by=root)
    with pytest.raises(InvalidInput, match="No labelled frame"):
        case_lock(name="nobody", by=root)


def test_a_version_is_not_judged_on_what_it_learnt_from(root, labelled_set, model, candidate):
    case_lock(name="A01", by=root)
    candidate.card = {"data": [{"case_names": ["A01"]}]}
    candidate.save()
    with pytest.raises(DomainError, match="has learnt from A01"):
        judgement_request(version=candidate, by=root)


def test_a_slide_without_mitoses_is_said_so_by_a_person_and_locks_its_case(
    root, alice, labelled_set, model, candidate, make_slide
):
    free, other, gone = make_slide("free.tif"), make_slide("other.tif"), make_slide("gone.tif")
    figure_judge(slide=other, by=alice, label=Label.MITOTIC, x=5, y=5)
    with pytest.raises(DomainError, match="called a figure mitotic"):
        free_slide_add(slide=other, by=root)
    with pytest.raises(DomainError, match="not ready"):
        free_slide_add(slide=make_slide(mpp=None), by=root)
    for slide in (free, gone):
        free_slide_add(slide=slide, by=root)
    with pytest.raises(DomainError, match=free.case.identifier):
        mining_request(slides=[free], by=root)
    removal_make(slide=gone, by=root, reason="consent withdrawn")
    case_lock(name="A01", by=root)
    assert judgement_request(version=candidate, by=root).slides == [str(free.pk)]
    learner = ModelVersion.objects.create(
        name="l", path="l.safetensors", sha256="9" * 64, card={"data": [{"case_names": [free.case.identifier]}]}
    )
    with pytest.raises(DomainError, match="has learnt from"):
        judgement_request(version=learner, by=root)


# ---- mining -------------------------------------------------------------------------------------------------


def test_what_can_be_mined_is_unlabelled_ready_and_not_locked(root, alice, make_slide, study, labelled_set):
    free, judged, blind = make_slide("free.tif"), make_slide("judged.tif"), make_slide("blind.tif", mpp=None)
    make_slide("locked.tif", case=Case.objects.create(study=study, identifier="A01"))
    case_lock(name="A01", by=root)
    figure_judge(slide=judged, by=alice, label=Label.NON_MITOTIC, x=5, y=5)
    assert list(slides_unlabelled(study=study)) == [free]
    with pytest.raises(DomainError, match=r"Not ready.*blind\.tif"):
        mining_request(slides=[blind], by=root)


def test_the_cost_rests_on_what_was_measured(mined, make_slide):
    slide = make_slide()
    assert estimate_of(slides=[slide]).seconds is None
    mined.slides.update(seconds=4.0)
    mm2 = slide.tissue_mm2
    found = estimate_of(slides=[slide, slide])
    assert found.tissue_mm2 == pytest.approx(2 * mm2)
    assert found.seconds == pytest.approx(8.0)


def test_precision_is_of_the_drawn_samples_alone_with_its_interval(mined, root):
    drawn = list(samples_to_judge(run=mined))
    assert [sample.draw for sample in drawn] == [i / 100 for i in range(50)]
    for sample in drawn[:48]:
        mined_sample_judge(sample=sample, label=Label.MITOTIC, by=root)
    for sample in drawn[48:]:
        mined_sample_judge(sample=sample, label=Label.UNSURE, by=root)
    outside = mined.samples.exclude(pk__in=[s.pk for s in drawn]).first()
    mined_sample_judge(sample=outside, label=Label.NON_MITOTIC, by=root)
    said = precision_of(run=mined)
    assert (said.judged, said.mitotic, said.value, said.fit) == (50, 48, 0.96, True)
    assert said.interval == pytest.approx((0.8654, 0.9890), abs=2e-4)


def test_rejecting_what_was_seen_to_be_wrong_does_not_make_the_rest_look_better(mined, root):
    drawn = list(samples_to_judge(run=mined))
    for number, sample in enumerate(drawn):
        mined_sample_judge(sample=sample, label=Label.MITOTIC if number % 2 else Label.NON_MITOTIC, by=root)
        if not number % 2:
            mined_samples_reject(run=mined, by=root, sample=sample.pk)
    assert (precision_of(run=mined).value, precision_of(run=mined).fit) == (0.5, False)
    assert mined_samples_reject(run=mined, by=root, below=0.9) > 0
    assert all(sample.least >= 0.9 for sample in samples_to_judge(run=mined))


def test_what_was_rejected_or_called_none_is_not_learnt_from(mined, root, labelled_set):
    samples = list(mined.samples.order_by("least"))
    mined_sample_judge(sample=samples[99], label=Label.NON_MITOTIC, by=root)
    assert mined_samples_reject(run=mined, by=root, below=samples[90].least) == 90
    training = training_request(by=root, name="t", sets=[labelled_set], mining=[mined])
    assert {row["id"] for row in training.manifest["mined"]} == {sample.pk for sample in samples[90:99]}
    assert "nobody has judged" in training.warnings[0] or "judge" in training.warnings[0]


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(0, 0, 0, 1), (10, 10, 0.7225, 1), (0, 10, 0, 0.2775), (45, 50, 0.7864, 0.9565)]
)
def test_the_wilson_interval(hits, count, low, high):
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=1e-4)


# ---- trainings ----------------------------------------------------------------------------------------------


def test_inputs_are_frozen_with_hashes(root, labelled_set, make_slide):
    slide = make_slide()
    figure_judge(slide=slide, by=root, label=Label.MITOTIC, x=50, y=50)
    first = training_request(by=root, name="1", sets=[labelled_set])
    again = training_request(by=root, name="2", sets=[labelled_set])
    figure_judge(slide=slide, by=root, label=Label.NON_MITOTIC, x=50, y=50, expected=1)
    other = training_request(by=root, name="3", sets=[labelled_set])
    assert first.manifest_sha256 == again.manifest_sha256 != other.manifest_sha256
    first.refresh_from_db()
    assert first.manifest["figures"][0]["label"] == "mitotic"
    assert first.manifest["figures"][0]["by"] == root.pk
    assert first.manifest["slides"][str(slide.pk)]["sha256"] == slide.sha256


@pytest.mark.parametrize(
    "plan",
    [{"base": "nothing"}, {"ratio": [0, 1]}, {"ratio": "1:1"}, {"seed": -1}, {"iterations": 0}, {"lr": 1},
     {"device": "tpu"}, {"augment": 1}],
)  # fmt: skip
def test_a_plan_that_cannot_be_is_refused(plan):
    with pytest.raises(InvalidInput):
        checked_plan(plan)


def test_there_must_be_something_to_learn_from(root, mined):
    with pytest.raises(InvalidInput, match="nothing labelled"):
        training_request(by=root, name="t", mining=[mined])


def test_a_training_takes_no_turn_from_a_detection(root, labelled_set, make_slide, model):
    from webapp.annotations.services import detection_request

    training_request(by=root, name="t", sets=[labelled_set])
    job = detection_request(slide=make_slide(), by=root)
    assert shard_claim_next(kind=Job.Kind.TRAIN, worker="trainer") is not None
    assert job.queue_position == 1
    claimed = shard_claim_next(kind=Job.Kind.DETECT, worker="detector")
    assert claimed is not None and claimed.job == job
    assert Shard.objects.filter(state="running").count() == 2


# ---- promotion ----------------------------------------------------------------------------------------------


def test_a_person_promotes_with_a_reason_and_goes_back_with_one_call(root, model, candidate, make_run, make_slide):
    run = make_run(make_slide(), [])
    with pytest.raises(InvalidInput, match="Say why"):
        version_promote(version=candidate, by=root, reason=" ")
    version_promote(version=candidate, by=root, reason="better on five cases")
    assert {v.name: v.state for v in ModelVersion.objects.all()} == {"m": "retired", "c": "active"}
    version_roll_back(by=root)
    assert {v.name: v.state for v in ModelVersion.objects.all()} == {"m": "active", "c": "retired"}
    assert [p.reason for p in Promotion.objects.all()] == ["Rolled back from c.", "better on five cases"]
    run.refresh_from_db()
    assert run.model == model


# ---- provenance ---------------------------------------------------------------------------------------------


def test_removal_reaches_what_was_made_from_what_was_made(root, alice, labelled_set, make_slide, model):
    slide, other = make_slide(), make_slide()
    for one in (slide, other):
        figure_judge(slide=one, by=alice, label=Label.MITOTIC, x=50, y=50)
    first = training_request(by=root, name="first", sets=[labelled_set])
    made = trained(first)
    run = mining_request(slides=[make_slide()], by=root, model=made)
    MinedSample.objects.create(run=run, slide=run.slides.get().slide, x=1, y=1, scores=[1] * 8, least=1, draw=0)
    second = training_request(by=root, name="second", sets=[labelled_set], verdicts=False, mining=[run])
    unrelated = training_request(by=root, name="unrelated", sets=[labelled_set], verdicts=False)
    grandchild = trained(second, "grandchild", "e")

    before = affected_by(removals=[Removal(slide=slide)])
    assert before.trainings == {first.pk, second.pk}
    assert before.versions == {made.pk, grandchild.pk}
    assert before.mining_runs == {run.pk}
    assert removed_now().trainings == set(), "looking changes nothing"

    removal_make(slide=slide, by=root, reason="consent withdrawn")
    manifest = training_request(by=root, name="clean", sets=[labelled_set], mining=[run]).manifest
    assert [row["slide"] for row in manifest["figures"]] == [str(other.pk)]
    assert manifest["mined"] == []
    assert unrelated.pk not in removed_now().trainings
    with pytest.raises(DomainError, match="was made from what has been removed"):
        training_request(by=root, name="t", sets=[labelled_set], parent=grandchild)


def test_the_next_set_is_that_of_a_training_less_what_was_removed(root, alice, labelled_set, mined, make_slide, model):
    slide, other = make_slide(), make_slide()
    for one in (slide, other):
        figure_judge(slide=one, by=alice, label=Label.MITOTIC, x=50, y=50)
    own = LabelledSet.objects.create(name="hers", sha256="b" * 64, by=alice)
    LabelledFrame.objects.create(
        labelled_set=own, name="H_00", case="H", source="lab", mpp=0.25, width=300, height=300, mitoses=[[10, 10]],
        non_mitoses=[], exhaustive=True,
    )  # fmt: skip
    plan = {"seed": 5, "iterations": 9}
    ask = {"sets": [labelled_set, own], "mining": [mined], "plan": plan, "cases": ["A00", "A02", "H"]}
    first = training_request(by=root, name="first", **ask)
    child = training_request(by=root, name="child", parent=trained(first), **ask)
    removal_make(slide=slide, by=root, reason="consent withdrawn")
    removal_make(labelled_set=own, by=root, reason="wrong scanner")
    case_lock(name="A02", by=root)
    again = training_again(training=child, by=root, name="again")
    assert (again.parent, again.plan) == (None, child.plan)
    assert again.manifest["sets"][0]["cases"] == ["A00"]
    assert [row["slide"] for row in again.manifest["figures"]] == [str(other.pk)]
    assert len(again.manifest["mined"]) == len(first.manifest["mined"]) > 0


def test_removing_a_person_takes_out_their_verdicts_their_sets_and_samples_they_confirmed(
    root, alice, labelled_set, mined, make_slide
):
    for person, x in ((alice, 50), (root, 200)):
        figure_judge(slide=mined.slides.get().slide, by=person, label=Label.MITOTIC, x=x, y=50)
    sample = mined.samples.first()
    mined_sample_judge(sample=sample, label=Label.MITOTIC, by=alice)
    own = LabelledSet.objects.create(name="hers", sha256="b" * 64, by=alice)
    removal_make(person=alice, by=root, reason="asked to")
    manifest = training_request(by=root, name="t", sets=[labelled_set], mining=[mined]).manifest
    assert {row["by"] for row in manifest["figures"]} == {root.pk}
    assert len(manifest["mined"]) == 99
    with pytest.raises(DomainError, match="hers has been removed"):
        training_request(by=root, name="t", sets=[own])


def test_from_a_detection_back_to_sample_slide_and_person(
    root, alice, labelled_set, mined, make_slide, make_run, client_of
):
    slide, seen = make_slide("source.tif"), make_slide("seen.tif")
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=50, y=60)
    sample = mined.samples.first()
    mined_sample_judge(sample=sample, label=Label.MITOTIC, by=root)
    version = trained(training_request(by=root, name="t", sets=[labelled_set], mining=[mined]))
    run = make_run(seen, [(10, 10, 0.9)])
    type(run).objects.filter(pk=run.pk).update(model=version)
    client = client_of(root)
    page = client.get(f"/slides/{seen.pk}/").content.decode()
    address = f"/models/{version.pk}/samples/"
    assert address in page
    learnt = client.get(f"{address}?page=1").content.decode() + client.get(f"{address}?page=2").content.decode()
    assert f"/slides/{slide.pk}/#x=50&amp;y=60" in learnt
    assert "judged by alice" in learnt
    assert "confirmed by root" in learnt
    assert f"/models/mining/{mined.pk}/" in learnt
    assert "Not trained here" in client.get(f"/models/{run.model_id}/samples/").content.decode()


def test_from_a_version_back_to_slides_people_and_sets_and_its_card_says_so(root, alice, labelled_set, make_slide):
    slide = make_slide("source.tif")
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=50, y=50)
    version = trained(training_request(by=root, name="t", sets=[labelled_set]))
    found = sources_of(version=version)
    assert [one["name"] for one in found["slides"]] == ["source.tif"]
    assert found["people"] == [alice, root]
    card = model_card(version=version)
    assert card["training"]["sets"][0]["sha256"] == labelled_set.sha256
    assert card["training"]["people"] == ["alice", "root"]
    assert card["judgements"] == []


# ---- sets ---------------------------------------------------------------------------------------------------


def zip_of(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def test_a_zip_that_leads_out_of_itself_and_one_twice_are_refused(root, tmp_path, settings):
    path = tmp_path / "x.zip"
    path.write_bytes(zip_of(**{"../evil.txt": "x"}))
    with pytest.raises(InvalidInput, match="leads out"):
        set_import(name="evil", source=path, by=root)
    path.write_bytes(b"no zip")
    with pytest.raises(InvalidInput, match="comes as a zip"):
        set_import(name="none", source=path, by=root)
    path.write_bytes(zip_of(a="1"))
    set_import(name="one", source=path, by=root)
    with pytest.raises(InvalidInput, match="there already"):
        set_import(name="two", source=path, by=root)
    assert len(list(settings.SET_DIR.iterdir())) == 1
    assert not (tmp_path / "evil.txt").exists()


def test_a_folder_of_symbolic_links_is_the_same_set_as_its_files(root, tmp_path, settings):
    files, links = tmp_path / "files", tmp_path / "links"
    for name, content in {"labels/A00_01.csv": "1,2", "frames/A00_01.png": "pixels"}.items():
        (files / name).parent.mkdir(parents=True)
        (files / name).write_text(content)
    links.mkdir()
    (links / "labels").symlink_to(files / "labels")
    (links / "frames").mkdir()
    (links / "frames" / "A00_01.png").symlink_to(files / "frames" / "A00_01.png")
    (links / "frames" / "circle").symlink_to(links)
    assert folder_hash(links) == folder_hash(files)
    made = set_import(name="links", source=links, by=root)
    assert made.sha256 == folder_hash(files)
    shutil.rmtree(files)
    assert (made.folder / "labels" / "A00_01.csv").read_text() == "1,2", "copied, not linked"
    assert (made.folder / "frames" / "A00_01.png").read_text() == "pixels"


# ---- by REST and in the admin -------------------------------------------------------------------------------


def test_the_loop_by_rest(client_of, root, labelled_set, mined, candidate, study, make_slide):
    client = client_of(root)
    make_slide()
    api = "/api/v1"
    sent = {"name": "up", "file": SimpleUploadedFile("s.zip", zip_of(a="1"))}
    answer = client.post(f"{api}/labelled-sets/", sent, format="multipart")
    assert answer.status_code == 202, answer.content
    assert client.post(f"{api}/locked-cases/", {"name": "A01"}, format="json").status_code == 201
    estimate = client.post(f"{api}/mining-runs/estimate/", {"study": study.pk}, format="json").json()
    assert estimate["slides"] == 2
    assert client.post(f"{api}/mining-runs/", {"study": study.pk, "most": 1}, format="json").status_code == 202
    address = f"{api}/mining-runs/{mined.pk}/"
    drawn = client.get(f"{address}drawn/").json()["results"]
    said = client.post(f"{address}judge/", {"sample": drawn[0]["id"], "label": "mitotic"}, format="json").json()
    assert (said["judged"], said["mitotic"]) == (1, 1)
    assert client.post(f"{address}reject/", {"below": 0.9}, format="json").json() == {"changed": 50}
    assert client.post(f"{address}restore/").json() == {"changed": 50}
    wanted = {"name": "t", "sets": [str(labelled_set.pk)], "mining": [str(mined.pk)], "plan": {"iterations": 9}}
    answer = client.post(f"{api}/trainings/", wanted, format="json")
    assert answer.status_code == 202, answer.content
    training = client.get(f"{api}/trainings/{answer.json()['id']}/").json()
    assert training["inputs"]["mined"] == 100
    assert training["inputs"]["test"] == ["A01"]
    refused = client.post(f"{api}/trainings/", {**wanted, "cases": ["A01"]}, format="json")
    assert (refused.status_code, "A01" in refused.json()["detail"]) == (409, True)
    locked = make_slide(case=Case.objects.create(study=study, identifier="A01"))
    refused = client.post(f"{api}/mining-runs/", {"slides": [str(locked.pk)]}, format="json")
    assert (refused.status_code, "A01" in refused.json()["detail"]) == (409, True)
    matching = {"matching": {"search": "nothing is called so"}}
    assert client.post(f"{api}/mining-runs/estimate/", matching, format="json").json()["slides"] == 0
    again = client.post(f"{api}/trainings/{training['id']}/again/", {"name": "again"}, format="json")
    assert again.json()["inputs"]["mined"] == 100
    free = make_slide("free.tif")
    answer = client.post(f"{api}/mitosis-free-slides/", {"slide": str(free.pk)}, format="json")
    assert answer.status_code == 201
    assert client.delete(f"{api}/mitosis-free-slides/{answer.json()['id']}/").status_code == 204
    assert client.post(f"{api}/models/{candidate.pk}/judge/").status_code == 202
    answer = client.post(f"{api}/models/{candidate.pk}/promote/", {"reason": "trial"}, format="json")
    assert answer.json()["state"] == "active"
    assert client.post(f"{api}/models/roll-back/").json()["name"] == "m"
    assert client.get(f"{api}/models/{candidate.pk}/card/").json()["promotions"][0]["reason"] == "trial"
    slide = mined.slides.get().slide
    rerun = client.post(f"{api}/models/{candidate.pk}/rerun/", {"slides": [str(slide.pk)]}, format="json").json()
    assert len(rerun["jobs"]) == 1
    affected = client.get(f"{api}/removals/affected/?slide={slide.pk}").json()
    assert (affected["mined_samples"], affected["trainings"]) == (100, ["again", "t"])
    body = {"slide": str(slide.pk), "reason": "consent withdrawn"}
    removed = client.post(f"{api}/removals/", body, format="json")
    assert (removed.status_code, removed.json()["what"]) == (201, f"the slide {slide}")
    address = f"{api}/removals/{removed.json()['id']}/"
    assert removed_now().slides == {slide.pk}
    assert client.delete(address).status_code == 204
    assert removed_now().slides == set()
    assert client.delete(address).status_code == 409, "taken back before"
    (listed,) = client.get(f"{api}/removals/").json()["results"]
    assert (listed["reason"], listed["by"], listed["ended_at"] is not None) == ("consent withdrawn", "root", True)
    figure_judge(slide=slide, by=root, label=Label.MITOTIC, x=50, y=50)
    made_here = client.get(f"{api}/labelled-sets/made-here/").json()
    assert made_here == {"mitotic": 1, "non_mitotic": 0, "slides": 1, "people": 1}


ADDRESSES = ["trainings/", "mining-runs/", "labelled-sets/", "locked-cases/", "removals/", "removals/affected/"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_only_administrators_reach_it(address, client_of, alice, charlie, db):
    for user, code in ((alice, 403), (charlie, 403), (None, 401)):
        assert client_of(user).get(f"/api/v1/{address}").status_code == code


def test_the_admin_retrains_with_a_mining_run_and_with_samples(client_of, root, labelled_set, mined):
    client = client_of(root)
    for name, keys in (("miningrun", [mined.pk]), ("minedsample", [s.pk for s in mined.samples.all()[:3]])):
        address = reverse(f"admin:retraining_{name}_changelist")
        assert client.get(address).status_code == 200
        sent = {"action": "retrain", "_selected_action": keys, "name": name, "plan": "short"}
        page = client.post(address, sent, follow=True).content.decode()
        assert f"The training {name} waits" in page
    assert {t.name: len(t.manifest["mined"]) for t in TrainingRun.objects.all()} == {"miningrun": 100, "minedsample": 3}


def test_every_step_of_the_loop_is_in_the_admin(client_of, root, labelled_set, mined, model, candidate, make_slide):
    client, free, unlabelled = client_of(root), make_slide(), make_slide()

    def page(kind):
        return reverse(f"admin:{kind if '_' in kind else f'retraining_{kind}'}_changelist")

    def add(kind, **fields):
        assert client.get(f"{page(kind)}add/").status_code == 200
        return client.post(f"{page(kind)}add/", fields, follow=True).content.decode()

    def act(kind, action, *keys):
        sent = {"action": action, "_selected_action": keys}
        return str([str(said) for said in client.post(page(kind), sent, follow=True).context["messages"]])

    add("labelledset", name="up", file=SimpleUploadedFile("s.zip", zip_of(a="1")))
    assert LabelledSet.objects.get(name="up").by == root
    assert "there already" in add("labelledset", name="again", file=SimpleUploadedFile("s.zip", zip_of(a="1")))
    assert "No labelled frame" in add("lockedcase", name="nobody")
    add("lockedcase", name="A00")
    assert "1 unlocked" in act("lockedcase", "unlock", LockedCase.objects.get(name="A00").pk)
    add("lockedcase", name="A01")
    add("mitosisfreeslide", slide=free.pk)
    assert LockedCase.objects.filter(name=free.case.identifier).exists()

    asked = {"slides": [unlabelled.pk], "first_look": 0.5, "agreement": 0.9}
    assert "a time that is not known: 1 slides" in add("miningrun", **asked)
    assert MiningRun.objects.count() == 1, "the cost is said first"
    add("miningrun", **asked, go_on="on")
    assert MiningRun.objects.get(agreement=0.9).slides.get().slide == unlabelled

    samples = list(mined.samples.order_by("least"))
    assert "2 judged" in act("minedsample", "mitotic", samples[-1].pk, samples[-2].pk)
    assert "1 judged" in act("minedsample", "non_mitotic", samples[-3].pk)
    assert "1 rejected" in act("minedsample", "reject", samples[-4].pk)
    assert "90 rejected" in act("minedsample", "reject_below", samples[90].pk)
    assert "10 rejected" in act("minedsample", "reject_slides", samples[-1].pk)
    assert "1 as they were mined" in act("miningrun", "restore", mined.pk)
    assert not mined.samples.exclude(rejected="").exists()

    training = training_request(by=root, name="t", sets=[labelled_set], mining=[mined])
    assert "1 stopped" in act("trainingrun", "stop", training.pk)
    assert "1 sent again" in act("trainingrun", "go_on", training.pk)
    add("judgement", version=candidate.pk)
    assert Judgement.objects.get().cases == ["A01"]
    assert "stays locked" in act("lockedcase", "unlock", LockedCase.objects.get(name="A01").pk)
    version_promote(version=candidate, by=root, reason="trial")
    assert "m detects again" in act("registry_promotion", "roll_back", Promotion.objects.get().pk)
    assert "the newest" in act("registry_promotion", "roll_back", Promotion.objects.last().pk)

    assert "Name one slide" in add("removal", slide=free.pk, person=root.pk, reason="r")
    add("removal", slide=mined.slides.get().slide_id, reason="consent withdrawn")
    assert "1 asked for" in act("trainingrun", "again", training.pk)
    assert TrainingRun.objects.get(name="t, again").manifest["mined"] == []
    assert "1 taken back" in act("removal", "take_back", Removal.objects.get().pk)
    assert "taken back before" in act("removal", "take_back", Removal.objects.get().pk)
    assert "1 taken out" in act("mitosisfreeslide", "take_out", MitosisFreeSlide.objects.get().pk)


def test_lists_of_the_admin_open(client_of, root, mined, labelled_set):
    training_request(by=root, name="t", sets=[labelled_set])
    removal_make(person=User.objects.create_user("x"), by=root, reason="r")
    for kind in (LabelledSet, LockedCase, MiningRun, MinedSample, MitosisFreeSlide, TrainingRun, Judgement, Removal):
        address = reverse(f"admin:retraining_{kind._meta.model_name}_changelist")
        assert client_of(root).get(address).status_code == 200


def test_the_pages_open_for_administrators_alone(client_of, root, charlie, labelled_set, mined, candidate, make_slide):
    figure_judge(slide=make_slide(), by=root, label=Label.MITOTIC, x=50, y=50)
    training = training_request(by=root, name="t", sets=[labelled_set], mining=[mined])
    case_lock(name="A01", by=root)
    judgement = judgement_request(version=candidate, by=root)
    version_promote(version=candidate, by=root, reason="trial")
    slide = mined.slides.get().slide
    addresses = [
        "/models/retraining/", "/models/mining/", "/models/mining/?search=s&most=1&min_count=x",
        f"/models/retraining/?mining={mined.pk}", f"/models/mining/{mined.pk}/", f"/models/training/{training.pk}/",
        f"/models/judgement/{judgement.pk}/", "/models/removal/", f"/models/removal/?slide={slide.pk}",
        "/models/removal/?person=root", f"/models/removal/?labelled_set={labelled_set.pk}",
    ]  # fmt: skip
    for address in addresses:
        answer = client_of(root).get(address)
        assert answer.status_code == 200, address
        assert client_of(charlie).get(address).status_code == 403, address
    version = trained(training)
    assert client_of(root).get(f"/models/{version.pk}/").status_code == 200
    assert client_of(charlie).get(f"/models/{version.pk}/samples/").status_code == 403
    assert "Where it comes from" in client_of(charlie).get(f"/models/{version.pk}/").content.decode()
