"""The pages of retraining, for administrators alone."""

from __future__ import annotations

from tests.webapp.retraining.conftest import trained
from webapp.annotations.models import Label
from webapp.annotations.services import figure_judge
from webapp.registry.services import version_promote
from webapp.retraining.judgements import judgement_request
from webapp.retraining.locked_cases import case_lock
from webapp.retraining.trainings import training_request


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
    assert "Provenance" in client_of(charlie).get(f"/models/{version.pk}/").content.decode()
