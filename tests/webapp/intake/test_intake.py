"""Slides that come in by themselves: each once, when it is finished, into the right study and case."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count

from tests.resilience.dicom_files import level
from webapp.core.errors import DomainError, InvalidInput
from webapp.intake.models import Arrival
from webapp.intake.naming import Named, Rules, pattern_of, rows_of
from webapp.intake.places import place_of
from webapp.intake.services import Manner, arrivals_look
from webapp.jobs.models import Job
from webapp.slides.models import Slide, Study
from webapp.slides.services import slide_delete
from webapp.slides.storage import local_path, original_of

AT_ONCE = timedelta(0)


@pytest.fixture
def folder(tmp_path, study):
    """A scanner's share with two slides of one patient in the study."""
    share = tmp_path / "share"
    case = share / study.name / "P-17"
    case.mkdir(parents=True)
    for number in (1, 2):
        (case / f"{number}.svs").write_bytes(b"slide %d" % number)
    return share


@pytest.fixture
def look(folder):
    def look(quiet=AT_ONCE, **manner):
        return dict(arrivals_look(place=place_of(str(folder)), manner=Manner(quiet=quiet, **manner)))

    return look


def reasons():
    return {one.name: one.reason for one in Arrival.objects.exclude(state="taken")}


def test_what_lies_there_becomes_slides_and_stays(folder, look, study):
    assert look() == {"taken": 2}
    slides = list(Slide.objects.order_by("number"))
    assert {(slide.case.study, slide.case.identifier) for slide in slides} == {(study, "P-17")}
    assert [local_path(slide).read_bytes() for slide in slides] == [b"slide 1", b"slide 2"]
    assert [slide.file_name for slide in slides] == ["1.svs", "2.svs"]
    assert Job.objects.filter(kind=Job.Kind.INGEST, slide__in=slides).count() == 2
    assert sorted(path.name for path in folder.rglob("*.svs")) == ["1.svs", "2.svs"]
    assert look() == {"taken": 2} and Slide.objects.count() == 2


def test_a_file_waits_until_it_stands_still(folder, look, study):
    file = folder / study.name / "P-17" / "1.svs"
    assert look(timedelta(hours=1)) == {"waiting": 2}
    Arrival.objects.update(still_since="2026-01-01T00:00Z")
    file.write_bytes(b"slide 1 goes on")
    assert look(timedelta(hours=1)) == {"waiting": 1, "taken": 1}
    assert "still being written" in reasons()[f"{study.name}/P-17/1.svs"]
    Arrival.objects.update(still_since="2026-01-01T00:00Z")
    assert look(timedelta(hours=1)) == {"taken": 2}


def test_a_file_that_changes_while_it_is_read_waits(folder, look, monkeypatch):
    from webapp.intake import places

    def copied(source, target):
        source.write_bytes(b"more of it, and more")
        return real(source, target)

    real = places._copied
    monkeypatch.setattr(places, "_copied", copied)
    assert look() == {"waiting": 2} and not Slide.objects.exists()


def test_the_same_content_is_imported_once(folder, look, study):
    look()
    shutil.copy(folder / study.name / "P-17" / "1.svs", folder / study.name / "copy.svs")
    assert look() == {"taken": 2, "known": 1}
    assert Arrival.objects.get(state="known").slide == Slide.objects.get(file_name="1.svs")
    Slide.objects.update(sha256="")
    shutil.rmtree(folder / study.name / "P-17")
    assert look() == {"known": 1}, "what was imported may be moved away"
    assert Arrival.objects.filter(state="taken").count() == 2


def test_a_slide_that_was_deleted_does_not_come_again_and_names_nobody(folder, look):
    look()
    slide_delete(slide=Slide.objects.get(file_name="1.svs"))
    assert look() == {"taken": 2} and Slide.objects.count() == 1
    assert Arrival.objects.get(slide=None).name == ""


def test_nor_does_it_when_its_file_is_touched(folder, look, study):
    look()
    slide_delete(slide=Slide.objects.get(file_name="1.svs"))
    (folder / study.name / "P-17" / "1.svs").touch()
    assert look() == {"taken": 1, "known": 1} and Slide.objects.count() == 1


def test_what_is_touched_before_it_is_prepared_is_imported_once(folder, look, study):
    look()
    assert not any(Slide.objects.values_list("sha256", flat=True))
    for path in folder.rglob("*.svs"):
        path.touch()
    assert look() == {"known": 2} and Slide.objects.count() == 2


def test_another_file_of_that_name_is_another_slide(folder, look, study):
    look()
    (folder / study.name / "P-17" / "1.svs").write_bytes(b"scanned again")
    assert look() == {"taken": 2} and Slide.objects.count() == 3


def test_what_cannot_be_imported_says_why_and_is_when_it_can(folder, look, study):
    (folder / "Brest").mkdir()
    (folder / "Brest" / "3.svs").write_bytes(b"3")
    (folder / "4.svs").write_bytes(b"4")
    (folder / "notes.docx").write_bytes(b"5")
    (folder / ".hidden.svs").write_bytes(b"6")
    (folder / "half.svs.part").write_bytes(b"7")
    assert look() == {"taken": 2, "waiting": 2, "left": 1}
    said = reasons()
    assert said.pop("Brest/3.svs").startswith("There is no study Brest; make it")
    assert said.pop("4.svs").startswith("Nothing says which study it is of")
    assert said == {"notes.docx": "Its name ends like that of no slide."}
    Study.objects.create(name="Brest")
    (folder / "4.svs").unlink()
    assert look() == {"taken": 3, "left": 1}
    assert set(reasons()) == {"notes.docx"}


def test_a_disk_without_room_is_waited_for(look, monkeypatch):
    monkeypatch.setattr("webapp.intake.services.has_room", lambda size: False)
    assert look() == {"waiting": 2}
    assert all("make room" in reason for reason in reasons().values())


def test_a_file_that_cannot_be_read_does_not_hold_up_the_others(folder, look, study, monkeypatch):
    from webapp.intake import places

    def copied(source, target):
        if source.name == "1.svs":
            raise PermissionError(13, "Permission denied")
        return real(source, target)

    real = places._copied
    monkeypatch.setattr(places, "_copied", copied)
    assert look() == {"waiting": 1, "taken": 1}


@pytest.mark.parametrize(
    ("rules", "name", "found"),
    [
        (Rules(), "Breast/P1/a.svs", Named("Breast", "P1")),
        (Rules(), "Breast/P1/series 4/a.dcm", Named("Breast", "P1")),
        (Rules(), "Breast/a.svs", Named("Breast")),
        (Rules("Breast"), "P1/a.svs", Named("Breast", "P1")),
        (Rules("Breast"), "a.svs", Named("Breast")),
        (Rules("Breast", pattern_of(r"(?P<case>P\d+)_.*")), "P12_a.svs", Named("Breast", "P12")),
        (
            Rules("", pattern_of(r".*/(?P<study>\w+)-(?P<case>\w+)-(?P<mpp>[\d.]+)\.tif")),
            "x/B-P1-0.25.tif", Named("B", "P1", 0.25),
        ),
        (Rules("Lung", rows=rows_of(b"file,study,case,mpp\na.svs,Breast,P3,\n")), "x/a.svs", Named("Breast", "P3")),
        (Rules("Lung", rows=rows_of("\ufefffile;case;mpp\r\nx\\a.svs;Ä;0,25\r\n".encode())), "x/a.svs",
         Named("Lung", "Ä", 0.25)),
    ],
)  # fmt: skip
def test_study_and_case_of_a_file(rules, name, found):
    assert rules.of(name) == found


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: pattern_of("(?P<case>"), "no regular expression"),
        (lambda: pattern_of("(?P<patient>.*)"), "must name study, case or mpp"),
        (lambda: pattern_of(".*"), "must name study, case or mpp"),
        (lambda: rows_of(b"name,case\na,b\n"), "no column `file`"),
        (lambda: rows_of(b"file,mpp\na.svs,0.25\nb.svs,quarter\n"), "line 3: quarter is no number"),
        (lambda: rows_of(b"file,mpp\na.svs,25\n"), "line 2: 25 um/px"),
        (lambda: rows_of("file,case\na.svs,ä\n".encode("latin-1")), "not UTF-8"),
        (lambda: Rules("B", pattern_of("(?P<case>P.)")).of("x"), "is not like"),
        (lambda: place_of("/nowhere/at/all"), "no folder that can be read"),
    ],
)
def test_rules_that_cannot_be_are_refused(act, words):
    with pytest.raises(InvalidInput, match=words):
        act()


def test_slides_of_several_files_are_one(folder, look, study):
    dicom, mirax = folder / study.name / "P-18", folder / study.name / "P-19"
    (mirax / "m").mkdir(parents=True)
    dicom.mkdir()
    for name in ("b.dcm", "a.dcm"):
        (dicom / name).write_bytes(name.encode())
    (mirax / "m.mrxs").write_bytes(b"m")
    (mirax / "m" / "Slidedat.ini").write_bytes(b"s")
    assert look() == {"taken": 4}
    names = {slide.case.identifier: slide.file_name for slide in Slide.objects.filter(file_name__endswith="zip")}
    assert names == {"P-18": "a.zip", "P-19": "m.zip"}
    (dicom / "c.dcm").write_bytes(b"c")
    assert look() == {"taken": 4} and Slide.objects.filter(case__identifier="P-18").count() == 2, "the whole is another"


def test_in_place_nothing_is_copied_changed_or_deleted(folder, look, study):
    mirax = folder / study.name / "P-19"
    (mirax / "m").mkdir(parents=True)
    (mirax / "m.mrxs").write_bytes(b"m")
    (mirax / "m" / "Slidedat.ini").write_bytes(b"s")
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")}
    assert look(in_place=True) == {"taken": 3}
    for slide in Slide.objects.all():
        assert local_path(slide).is_symlink() and local_path(slide).resolve().is_relative_to(folder)
    single, several = Slide.objects.get(file_name="1.svs"), Slide.objects.get(file_name="m.mrxs")
    assert original_of(single) == local_path(single)
    assert (original_of(several) / "m" / "Slidedat.ini").read_bytes() == b"s"
    for slide in Slide.objects.all():
        slide_delete(slide=slide)
        shutil.rmtree(slide.folder)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")} == before


def test_a_link_out_of_the_share_waits_where_nobody_could_follow_it(folder, look, study):
    link = folder / study.name / "linked.svs"
    link.symlink_to("/srv/elsewhere/1.svs")
    assert look(in_place=True) == {"taken": 2, "waiting": 1}
    assert "It is a link to where web and workers may not read" in Arrival.objects.get(state="waiting").reason


def test_in_place_and_a_bucket_exclude_each_other(look, settings):
    settings.S3_BUCKET = "slides"
    with pytest.raises(InvalidInput, match="in place from a folder alone"):
        look(in_place=True)


def test_a_share_that_is_away_is_said_and_nothing_is_forgotten(folder, look, study):
    place = place_of(str(folder))
    look()
    shutil.move(folder, folder.with_name("away"))
    with pytest.raises(DomainError, match="is not there"):
        arrivals_look(place=place, manner=Manner(quiet=AT_ONCE))
    assert Arrival.objects.count() == 2


def test_the_command_imports_a_folder_once_and_says_what_waits(folder, study, capsys, monkeypatch):
    monkeypatch.setattr("webapp.intake.management.commands.import_slides._QUIET", 0.01)
    (folder / "4.svs").write_bytes(b"4")
    call_command("import_slides", str(folder))
    said = capsys.readouterr().out
    assert said.startswith("1 waits, 2 imported.\nWaits: 4.svs: Nothing says which study")
    call_command("import_slides", str(folder), study=study.name)
    assert Slide.objects.filter(case__study=study).count() == 3
    with pytest.raises(CommandError, match="Say which folder"):
        call_command("import_slides")
    with pytest.raises(CommandError, match="no regular expression"):
        call_command("import_slides", str(folder), pattern="(")


def test_names_that_are_no_text_are_taken(folder, look, study):
    os.close(os.open(os.fsencode(folder / study.name) + b"/P-17/\xff.svs", os.O_CREAT | os.O_WRONLY))
    assert look() == {"taken": 3}
    assert Slide.objects.aggregate(n=Count("pk"))["n"] == 3


@pytest.mark.parametrize(
    "table",
    [b"\xef\xbb\xbf", b"\xef\xbb\xbf\n\n", b"\n;\n", b'file,case\n"a.svs,' + b"x" * 200_000, b"a,b\n1,2", b"\xff"],
)
def test_an_odd_table_is_a_sentence_or_no_table(table):
    try:
        assert rows_of(table) == {}
    except InvalidInput as error:
        assert "slides.csv" in str(error)


def test_a_table_names_files_whose_letters_are_taken_apart():
    composed, apart = "M\u00fcller.tif", "Mu\u0308ller.tif"
    for row, name in ((composed, apart), (apart, composed)):
        rules = Rules(study="Breast", rows=rows_of(f"file,case\n{row},P17\n".encode()))
        assert rules.of(f"a/{name}") == Named("Breast", "P17")


def test_two_dicom_series_in_one_folder_are_two_slides(tmp_path):
    for name in ("a", "b"):
        series = {"SeriesInstanceUID": f"1.2.{ord(name)}"}
        for number in range(2):
            write = level(np.zeros((8, 8, 3), np.uint8), 0.25, tile=8, number=number + 1)
            (tmp_path / f"{number}{name}.dcm").write_bytes(write(series))
    items = list(place_of(str(tmp_path)).items())
    assert [[name for name, _ in item.files] for item in items] == [["0a.dcm", "1a.dcm"], ["0b.dcm", "1b.dcm"]]
    assert len({item.identity for item in items}) == 2
