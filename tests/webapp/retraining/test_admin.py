"""Retraining in the admin: every step, and every list."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from tests.webapp.retraining.conftest import zip_of
from webapp.registry.models import Promotion
from webapp.registry.services import version_promote
from webapp.retraining.models import (
    Judgement,
    LabelledSet,
    LockedCase,
    MinedSample,
    MiningRun,
    MitosisFreeSlide,
    Removal,
    TrainingRun,
)
from webapp.retraining.removals import removal_make
from webapp.retraining.trainings import training_request


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
    assert "m is the active version again" in act("registry_promotion", "roll_back", Promotion.objects.get().pk)
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
