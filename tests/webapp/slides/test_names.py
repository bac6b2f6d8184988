"""One name for what looks alike, from every door; and a number of a slide is never given twice."""

from __future__ import annotations

import importlib
import unicodedata

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import recorded
from tests.webapp.slides.test_uploads import begin, send
from webapp.audit.models import Action
from webapp.core.names import plain_name
from webapp.retraining.models import LockedCase
from webapp.slides.models import Case, Slide, Study
from webapp.slides.services import slide_create, slide_delete

APART, TOGETHER = unicodedata.normalize("NFD", "Müller-1"), unicodedata.normalize("NFC", "Müller-1")
MIGRATION = importlib.import_module("webapp.slides.migrations.0005_names")


@given(st.text())
def test_a_plain_name_stays_as_it_is_and_holds_nothing_unseen(text):
    name = plain_name(text)
    assert plain_name(name) == name == name.strip() and unicodedata.is_normalized("NFC", name)
    assert not any(unicodedata.category(character).startswith("C") for character in name)


def test_names_by_hand():
    assert plain_name(f"  {APART}\n\t2 ") == f"{TOGETHER} 2"
    assert plain_name("a\0b\u202ec\u200bd\ufeff") == "abcd"
    assert plain_name("症例-1 מקרה") == "症例-1 מקרה"


def test_a_case_is_the_same_however_its_name_is_written(client_of, alice):
    client = client_of(alice)
    for name in (APART, TOGETHER, f"\u202e{TOGETHER}\0\n"):
        assert send(client, begin(client, 1, case=name)["Location"], 0, b"x").status_code == 204
    case = Case.objects.get(identifier=APART)
    assert case.identifier == TOGETHER and [s.name for s in case.slides.order_by("number")] == [
        f"{TOGETHER} slide {number}" for number in (1, 2, 3)
    ]
    refused = begin(client, 1, case="x" * 101)
    assert refused.status_code == 400 and "has 101 characters; at most 100" in refused.json()["detail"]
    assert begin(client, 1, study="Bre\0ast").status_code == 201


def test_every_door_has_plain_names(db):
    study = Study.objects.create(name=f"{APART}\0")
    assert study.name == TOGETHER and Study.objects.get(name=APART) == study
    assert LockedCase.objects.create(name=APART).name == TOGETHER
    with pytest.raises(IntegrityError), transaction.atomic():
        Study.objects.create(name=f"{TOGETHER} ")


@pytest.mark.parametrize(
    "address", ["/slides/?search=%00", "/?search=a%00b", "/cases/?%00=1", "/api/v1/slides/?case=%00", "/slides/%00/"]
)
def test_an_address_with_a_nul_is_refused(client_of, alice, address):
    assert client_of(alice).get(address).status_code == 400


def a_slide(study, alice, tmp_path, case="P-1"):
    file = tmp_path / "file"
    file.write_bytes(b"x")
    with transaction.atomic():
        return slide_create(study=study, case_identifier=case, name="a.svs", file=file, user=alice)


def test_the_number_of_a_deleted_slide_is_not_given_again(study, alice, tmp_path, django_capture_on_commit_callbacks):
    slides = []
    for _ in range(3):
        with django_capture_on_commit_callbacks(execute=True):
            slides.append(a_slide(study, alice, tmp_path))
        if len(slides) == 2:
            slide_delete(slide=slides[0])
    assert [slide.name for slide in slides] == ["P-1 slide 1", "P-1 slide 2", "P-1 slide 3"]
    with pytest.raises(IntegrityError), transaction.atomic():
        Slide.objects.filter(pk=slides[2].pk).update(number=2)


def test_names_and_numbers_from_before_are_brought_into_order(study, make_slide, capsys):
    cases = [Case.objects.create(study=study, identifier=f"c{i}") for i in range(3)]
    slides = [
        make_slide(case=case, name=name) for case in cases[:1] for name in ("P slide 2", "P slide 2", "scan", "d")
    ]
    with connection.cursor() as cursor:
        for case, name in zip(cases, (APART, TOGETHER, "\u202e\0"), strict=True):
            cursor.execute(
                "UPDATE slides_case SET identifier = %s WHERE identifier = %s",
                [name.replace("\0", ""), case.identifier],
            )
        cursor.execute("UPDATE slides_slide SET number = NULL")
        cursor.execute("UPDATE slides_slide SET drawn = %s WHERE name = %s", [True, "d"])
    MIGRATION.plain_names(apps, None)
    MIGRATION.numbers(apps, None)
    assert [Case.objects.get(pk=case.pk).identifier for case in cases] == [f"{TOGETHER} (2)", TOGETHER, "unnamed"]
    assert "another one looked alike" in capsys.readouterr().out
    named = [Slide.objects.get(pk=slide.pk) for slide in slides]
    assert [(slide.name, slide.number) for slide in named] == [
        ("P slide 2", 2),
        ("P slide 3", 3),
        ("scan", 4),
        ("d", None),
    ]
    assert Case.objects.get(pk=cases[0].pk).slides_numbered == 4


def test_a_slide_whose_case_is_corrected_gets_the_next_number_there(client_of, root, study, alice, tmp_path):
    first, moved = (a_slide(study, alice, tmp_path, case) for case in ("P-1", "P-2"))
    address = f"/admin/slides/slide/{moved.pk}/change/"
    form = {"name": moved.name, "case": first.case.pk}
    assert client_of(root).post(address, form).status_code == 302
    moved.refresh_from_db()
    assert (moved.case, moved.number, moved.name) == (first.case, 2, "P-1 slide 2")
    assert client_of(root).post(address, form | {"name": "by hand", "case": moved.case.pk}).status_code == 302
    form["case"] = Case.objects.get(identifier="P-2").pk
    assert client_of(root).post(address, form | {"name": "by hand"}).status_code == 302
    moved.refresh_from_db()
    assert (moved.number, moved.name) == (2, "by hand")  # 1 was its own before, and is given once
    one, other = ({"study": "Breast", "case": name} for name in ("P-1", "P-2"))
    there_and_back = [("root", other, one), ("root", one, other)]
    assert recorded(Action.SLIDE_MOVED, moved) == there_and_back
