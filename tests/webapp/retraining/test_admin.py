"""Retraining in the admin: lists to look at and the action that retrains; what else there is to do is done by REST."""

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
    ScannerCalibration,
    TrainingRun,
)
from webapp.retraining.removals import removal_make
from webapp.retraining.trainings import training_request

KINDS = (
    LabelledSet,
    LockedCase,
    MiningRun,
    MinedSample,
    MitosisFreeSlide,
    TrainingRun,
    Judgement,
    ScannerCalibration,
    Removal,
)


def page(kind):
    return reverse(f"admin:{kind if '_' in kind else f'retraining_{kind}'}_changelist")


def test_the_admin_retrains_with_a_mining_run_and_with_samples(client_of, root, labelled_set, mined):
    client = client_of(root)
    for name, keys in (("miningrun", [mined.pk]), ("minedsample", [s.pk for s in mined.samples.all()[:3]])):
        assert client.get(page(name)).status_code == 200
        sent = {"action": "retrain", "_selected_action": keys, "name": name, "plan": "short"}
        answer = client.post(page(name), sent, follow=True).content.decode()
        assert f"The training {name} waits" in answer
    assert {t.name: len(t.manifest["mined"]) for t in TrainingRun.objects.all()} == {"miningrun": 100, "minedsample": 3}


def test_the_admin_changes_nothing_else(client_of, root, charlie, mined, labelled_set):
    retraining = {MiningRun, MinedSample}
    for kind in KINDS:
        address = page(kind._meta.model_name)
        answer = client_of(root).get(address)
        assert answer.status_code == 200
        form = answer.context["action_form"]
        offered = {name for name, _ in form.fields["action"].choices if name} if form else set()
        assert offered == ({"retrain"} if kind in retraining else set())
        assert client_of(root).get(f"{address}add/").status_code == 403
        assert client_of(charlie).get(address).status_code == 403
    change = reverse("admin:retraining_labelledset_change", args=[labelled_set.pk])
    assert client_of(root).get(change).status_code == 200
    assert client_of(root).post(change, {"name": "another"}).status_code == 403


def calls_of(client):
    """POST and DELETE of the API: status and what is answered."""

    def post(path, body=None, **options):
        answer = client.post(f"/api/v1/{path}/", body or {}, **{"format": "json", **options})
        return answer.status_code, answer.json()

    def delete(path):
        answer = client.delete(f"/api/v1/{path}/")
        return answer.status_code, answer.content.decode()

    return post, delete


def test_every_other_step_of_retraining_is_a_call(client_of, root, labelled_set, mined, model, candidate, make_slide):
    (post, delete), free, unlabelled = calls_of(client_of(root)), make_slide(), make_slide()

    def import_set(name):
        return post(
            "labelled-sets", {"name": name, "file": SimpleUploadedFile("s.zip", zip_of(a="1"))}, format="multipart"
        )

    assert import_set("up")[0] == 202
    assert LabelledSet.objects.get(name="up").by == root
    assert "there already" in import_set("again")[1]["detail"]
    assert "No labelled frame" in post("locked-cases", {"name": "nobody"})[1]["detail"]
    locked = post("locked-cases", {"name": "A00"})[1]
    assert delete(f"locked-cases/{locked['id']}")[0] == 204
    assert not LockedCase.objects.exists()
    post("locked-cases", {"name": "A01"})
    marked = post("mitosis-free-slides", {"slide": str(free.pk)})[1]
    assert LockedCase.objects.filter(name=free.case.identifier).exists()

    asked = {"slides": [str(unlabelled.pk)], "first_look": 0.5, "agreement": 0.9}
    cost = post("mining-runs/estimate", asked)[1]
    assert (cost["slides"], cost["seconds"]) == (1, None)
    assert MiningRun.objects.count() == 1, "the cost is said first"
    assert post("mining-runs", asked)[0] == 202
    assert MiningRun.objects.get(agreement=0.9).slides.get().slide == unlabelled

    samples, run = list(mined.samples.order_by("least")), f"mining-runs/{mined.pk}"
    for sample, label in [(samples[-1], "mitotic"), (samples[-2], "mitotic"), (samples[-3], "non_mitotic")]:
        assert post(f"{run}/judge", {"sample": sample.pk, "label": label})[0] == 200
    assert sorted(mined.samples.exclude(verdict="").values_list("verdict", flat=True)) == [
        "mitotic", "mitotic", "non_mitotic",
    ]  # fmt: skip
    assert post(f"{run}/reject", {"sample": samples[-4].pk})[1] == {"changed": 1}
    assert post(f"{run}/reject", {"below": samples[90].least})[1] == {"changed": 90}
    assert post(f"{run}/reject", {"slide": str(samples[-1].slide_id)})[1] == {"changed": 10}
    assert post(f"{run}/restore")[1] == {"changed": 100}
    assert not mined.samples.exclude(rejected="").exists()

    training = training_request(by=root, name="t", sets=[labelled_set], mining=[mined])
    assert post(f"jobs/{training.job_id}/cancel")[1]["state"] == "cancelled"
    assert post(f"jobs/{training.job_id}/retry")[1]["state"] == "pending"
    assert post(f"models/{candidate.pk}/judge")[0] == 202
    assert Judgement.objects.get().cases == ["A01"]
    assert "stays locked" in delete(f"locked-cases/{LockedCase.objects.get(name='A01').pk}")[1]

    both = {"slide": str(free.pk), "person": root.username, "reason": "r"}
    assert "Name one slide" in post("removals", both)[1]["detail"]
    removed = post("removals", {"slide": str(mined.slides.get().slide_id), "reason": "consent withdrawn"})[1]
    assert post(f"trainings/{training.pk}/again", {"name": "t, again"})[0] == 202
    assert TrainingRun.objects.get(name="t, again").manifest["mined"] == []
    assert delete(f"removals/{removed['id']}")[0] == 204
    assert "taken back before" in delete(f"removals/{removed['id']}")[1]
    assert delete(f"mitosis-free-slides/{marked['id']}")[0] == 204
    assert not MitosisFreeSlide.objects.exists()


def test_the_newest_promotion_is_rolled_back_in_the_admin(client_of, root, model, candidate):
    def roll_back(promotion):
        sent = {"action": "roll_back", "_selected_action": [promotion.pk]}
        answer = client_of(root).post(page("registry_promotion"), sent, follow=True)
        return str([str(said) for said in answer.context["messages"]])

    version_promote(version=candidate, by=root, reason="trial")
    assert "m is the active version again" in roll_back(Promotion.objects.get())
    assert "the newest" in roll_back(Promotion.objects.last())


def test_lists_of_the_admin_open(client_of, root, mined, labelled_set):
    training_request(by=root, name="t", sets=[labelled_set])
    removal_make(person=User.objects.create_user("x"), by=root, reason="r")
    for kind in KINDS:
        assert client_of(root).get(page(kind._meta.model_name)).status_code == 200
