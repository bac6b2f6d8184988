"""A signed report: the same number everywhere, frozen, versioned, and its hash can be checked."""

from __future__ import annotations

import csv
import hashlib
import io
import uuid
from datetime import timedelta

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone
from pypdf import PdfReader

from tests.webapp.reports.conftest import CANDIDATES
from webapp.annotations.models import Label, Region
from webapp.annotations.services import figure_judge, region_draw
from webapp.reports.facts import facts_sha256
from webapp.reports.fonts import printable
from webapp.reports.models import Report
from webapp.reports.selectors import report_changes, report_faults
from webapp.results.rules import Rule
from webapp.slides.services import slide_set_mpp

NOT_IN_AUDIT = "Its number, seal or hashes are not those that the audit table has of its signing."


def sign(client, slide):
    return client.post(f"/api/v1/slides/{slide.pk}/reports/", {}, format="json")


def text_of(pdf):
    pages = PdfReader(io.BytesIO(pdf)).pages
    return "\n".join(" ".join(line.split()) for page in pages for line in page.extract_text().splitlines())


def test_the_number_is_the_same_everywhere_and_one_rejection_changes_it_everywhere(client_of, alice, slide):
    client = client_of(alice)

    def told():
        rest = client.get(f"/api/v1/slides/{slide.pk}/mitosis-count/").json()
        summary = client.get(f"/api/v1/slides/{slide.pk}/export/?format=summary").content.decode()
        row = next(csv.DictReader(io.StringIO(summary)))
        page = client.get(f"/slides/{slide.pk}/report/").content.decode()
        worklist = client.get("/").content.decode()
        report = sign(client, slide).json()
        pdf = text_of(client.get(report["pdf"]).content)
        for count, hotspot, score, density in [
            (rest["count"], rest["hotspot"]["count"], rest["score"]["value"], rest["count_per_mm2"])
        ]:
            assert (int(row["count"]), int(row["hotspot_count"]), int(row["score"])) == (count, hotspot, score)
            assert float(row["count_per_mm2"]) == density
            assert f'id="count">{count}<' in page and f'id="hotspot-count">{hotspot}<' in page
            assert f'id="score">{score}<' in page and f'id="density">{density:.2f}<' in page
            assert f'<a href="/slides/{slide.pk}/">{count}</a>' in worklist
            lines = pdf.splitlines()
            assert lines[lines.index("mitotic score (1 to 3)") - 1] == str(score)
            name = {"not reviewed": "AI alone", "partly reviewed": "Partly reviewed"}[rest["review"]["state"]]
            assert f"{name} {count} {density:.2f} {hotspot} {score}" in lines
        return count, hotspot, score, density

    area = 1500 * 1200 * 4 / 1e6
    assert told() == (9, 8, 2, 9 / area)  # 4 per mm2: above 3, below 8
    figure_judge(slide=slide, by=alice, label=Label.NON_MITOTIC, x=400, y=500)
    figure_judge(slide=slide, by=alice, label=Label.NON_MITOTIC, x=480, y=500)
    assert told() == (7, 6, 1, 7 / area)


def test_signing_freezes_and_a_change_makes_a_new_version(client_of, alice, slide):
    client = client_of(alice)
    first = sign(client, slide).json()
    before = client.get(first["pdf"]).content
    assert first["version"] == 1 and first["changes"] == [] and first["signed_by"] == "alice"
    refused = sign(client, slide)
    assert refused.status_code == 409 and "nothing has changed" in refused.json()["detail"]
    figure_judge(slide=slide, by=alice, label=Label.NON_MITOTIC, x=400, y=500)
    second = sign(client, slide).json()
    listed = client.get(f"/api/v1/slides/{slide.pk}/reports/").json()
    assert [report["version"] for report in listed] == [2, 1]
    assert listed[1]["changes"] == [
        "Version 2 was signed later.",
        "Figures on the slide: 9 when it was signed, 8 now.",
        "Figures in the hotspot: 8 when it was signed, 7 now.",
    ]
    assert client.get(first["pdf"]).content == before
    assert second["sha256"] != first["sha256"]


def test_what_a_reader_should_know_of_the_file_is_on_the_page(client_of, alice, slide):
    slide.remark = "Shown is image 1 of the 3 in this file."
    slide.save()
    report = sign(client_of(alice), slide).json()
    assert slide.remark in text_of(client_of(alice).get(report["pdf"]).content)


def test_the_page_says_what_it_rests_on(client_of, alice, slide):
    alice.first_name, alice.last_name = "Alice", "Łukasiewicz"
    alice.save()
    report = sign(client_of(alice), slide).json()
    text = " ".join(text_of(client_of(alice).get(report["pdf"]).content).split())
    for words in [
        "Research use only", report["sha256"], "0" * 64, "floor 0.2", "Alice Łukasiewicz", "Version 1",
        "Rule per-mm2 version 1", "Bonert and Tate", slide.case.identifier, "8 of 8 were not looked at", "2 x 2 µm/px",
    ]:  # fmt: skip
        assert words in text, words


NAMES = [
    "Łódź Ștefan Őry Þórður Çağrá", "Ελένη", "Иван Ђорђе", "Նարե", "ნინო", "עדי", "أليس فارسی", "अमिता", "অমিতা",
    "அமிதா", "అమిత", "અમિતા", "ಅಮಿತಾ", "അമിത", "ਅਮਿਤਾ", "අමිතා", "ชื่อ", "ລາວ", "ខ្មែរ", "မြန်မာ", "አሊስ",
    "病理", "病理ひらがなカタカナ", "한국",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_any_script_is_printed(name):
    assert printable(name) == name


def test_a_sign_that_no_font_has_is_told_by_its_number_and_no_page_shows_a_box(client_of, alice, slide):
    assert printable("a 🔬\x00b") == "a [U+1F52C][U+0000]b"
    alice.first_name = " ".join(NAMES)[:150]
    alice.save()
    reader = PdfReader(io.BytesIO(client_of(alice).get(sign(client_of(alice), slide).json()["pdf"]).content))
    text = "".join(page.extract_text() for page in reader.pages)
    assert "Łódź" in text and "\ufffd" not in text


def test_the_pdf_is_tagged_and_says_title_author_and_language(client_of, alice, slide):
    alice.first_name, alice.last_name = "Alice", "Łukasiewicz"
    alice.save()
    reader = PdfReader(io.BytesIO(client_of(alice).get(sign(client_of(alice), slide).json()["pdf"]).content))
    root = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] and "/StructTreeRoot" in root and root["/Lang"] == "en"
    assert slide.case.identifier in reader.metadata.title and reader.metadata.author == "Alice Łukasiewicz (alice)"


def test_regions_comment_and_every_figure_that_counts_are_on_the_page(client_of, alice, slide):
    region_draw(slide=slide, by=alice, kind=Region.Kind.EXCLUSION, polygon=[[0, 0], [200, 0], [200, 200], [0, 200]])
    figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=400, y=500)
    answer = client_of(alice).post(
        f"/api/v1/slides/{slide.pk}/reports/", {"comment": "At the invasive front."}, format="json"
    )
    facts = answer.json()["facts"]
    text = text_of(client_of(alice).get(answer.json()["pdf"]).content)
    for words in ["exclusion", "0.16 mm²", "At the invasive front.", "in the hotspot: 8", "elsewhere on the slide: 1"]:
        assert words in text, words
    assert text.count("not reviewed\n") >= 8 and "0.95 mitotic" in text
    assert "not reviewed: 7 of 8" in text and "Partly reviewed" in text
    assert (len(facts["figures"]), len(facts["elsewhere"]), len(facts["regions"])) == (8, 1, 1)
    assert "UTC" in text and "0.30000000000000004" not in text


def test_a_reviewed_hotspot_is_signed_without_a_word_of_doubt(client_of, alice, slide):
    for x, y, _ in CANDIDATES[:8]:
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=x, y=y)
    text = text_of(client_of(alice).get(sign(client_of(alice), slide).json()["pdf"]).content)
    assert "not reviewed:" not in text and "\nReviewed 9 " in text


def test_the_whole_case_is_reported_where_asked_for(client_of, alice, slide, make_slide, make_run):
    other = make_slide("other.tif", mpp=2.0, case=slide.case, tissue_fraction=1.0)
    make_run(other, [(100, 100, 0.9)])
    make_slide("undetected.tif", mpp=2.0, case=slide.case)
    answer = client_of(alice).post(f"/api/v1/slides/{slide.pk}/reports/", {"whole_case": True}, format="json").json()
    assert [part["slide"]["name"] for part in answer["facts"]["others"]] == ["other.tif"]
    assert "other.tif" in text_of(client_of(alice).get(answer["pdf"]).content)


def test_neither_a_changed_nor_a_removed_report_passes(client_of, alice, slide):
    signed = [sign(client_of(alice), slide)]
    for x in (400, 480):
        figure_judge(slide=slide, by=alice, label=Label.NON_MITOTIC, x=x, y=500)
        signed.append(sign(client_of(alice), slide))
    first, second, third = (Report.objects.get(pk=answer.json()["id"]) for answer in signed)
    assert [one.number for one in (first, second, third)] == [1, 2, 3] and second.previous == first.seal
    assert third.facts["replaces"] == second.sha256
    assert [report_faults(one) for one in (first, second, third)] == [[], [], []]
    # Somebody with the database, not the key, changes numbers or page and makes every hash anew.
    second.facts["count"]["count"] = 99
    second.sha256 = facts_sha256(second.facts)
    second.save()
    changed = [NOT_IN_AUDIT, "Its seal is not the one that it was signed with."]
    assert report_faults(second) == changed
    third.pdf = b"%PDF another"
    third.pdf_sha256 = hashlib.sha256(third.pdf).hexdigest()
    third.save()
    assert report_faults(third) == changed
    third.signed_at += timedelta(days=1)
    third.save()
    second.delete()
    assert report_faults(first) == ["The report signed after it, number 2, is missing or was changed."]
    page = client_of(alice).get("/reports/check/", {"hash": first.sha256}).content.decode()
    assert "changed after signing" in page and "number 2, is missing" in page


def test_a_seal_needs_the_key_and_old_reports_have_none(client_of, alice, slide, settings):
    report = Report.objects.get(pk=sign(client_of(alice), slide).json()["id"])
    assert report_faults(report) == []
    settings.SIGNING_KEY = "another"
    assert report_faults(report) == ["Its seal is not the one that it was signed with."]
    report.number, report.seal = None, ""
    assert report_faults(report) == [
        "Its number, seal or hashes are not those that the audit table has of its signing."
    ]
    report.pk = uuid.uuid4()  # of one from before there were seals nothing is in the audit table
    assert report_faults(report) == []


def test_the_newest_report_that_was_changed_or_removed_is_told_of(client_of, alice, slide):
    first, last = (sign(client_of(alice), slide).json()["id"], _changed_and_signed(client_of(alice), alice, slide))
    report = Report.objects.get(pk=last)
    report.facts["count"]["count"] = 77
    changed = {"facts": report.facts, "sha256": facts_sha256(report.facts), "number": None, "seal": "", "previous": ""}
    Report.objects.filter(pk=last).update(**changed)
    with pytest.raises(CommandError, match="1 of 2 reports"):
        call_command("check_reports", stdout=io.StringIO())
    Report.objects.filter(pk=last).delete()
    with pytest.raises(CommandError, match="0 of 1 reports are not as they were signed, and 1 more are missing"):
        call_command("check_reports", stdout=io.StringIO())
    Report.objects.filter(pk=first).delete()
    with pytest.raises(CommandError, match="2 more are missing"):
        call_command("check_reports", stdout=io.StringIO())


def _changed_and_signed(client, by, slide):
    figure_judge(slide=slide, by=by, label=Label.NON_MITOTIC, x=400, y=500)
    return sign(client, slide).json()["id"]


def test_the_hash_is_checked_on_a_page(client_of, alice, bob, slide):
    client = client_of(alice)
    report = sign(client, slide).json()
    pdf = client.get(report["pdf"]).content
    typed = " ".join(report["sha256"][i : i + 8] for i in range(0, 64, 8)).upper()
    page = client.get("/reports/check/", {"hash": typed}).content.decode()
    assert "signed here" in page and "numbers have not changed" in page
    assert "signed here" in client.post("/reports/check/", {"file": SimpleUploadedFile("r.pdf", pdf)}).content.decode()
    changed = client.post("/reports/check/", {"file": SimpleUploadedFile("r.pdf", pdf + b" ")}).content.decode()
    assert "No report that you may see" in changed
    assert "No report that you may see" in client_of(bob).get("/reports/check/", {"hash": typed}).content.decode()
    assert client_of(bob).get(report["pdf"]).status_code == 404
    kept = Report.objects.get()
    kept.facts["count"]["count"] = 1
    kept.save()
    assert "not the signed one" in client.get("/reports/check/", {"hash": typed}).content.decode()


def test_reports_are_signed_on_the_page(client_of, alice, slide):
    def post(**fields):
        return client_of(alice).post(f"/slides/{slide.pk}/report/", fields, follow=True).content.decode()

    page = post(comment="Clear.")
    assert not Report.objects.exists()  # it is not reviewed: asked once
    assert "Sign all the same" in page and "Clear." in page and "0 of 8 in the hotspot have a verdict" in page
    page = post(comment="Clear.", unreviewed="yes")
    assert "Version 1 is signed." in page and "holds" in page
    assert Report.objects.get().facts["comment"] == "Clear."
    assert "nothing has changed since" in post(comment="Clear.", unreviewed="yes")
    for x, y, _ in CANDIDATES[:8]:
        figure_judge(slide=slide, by=alice, label=Label.MITOTIC, x=x, y=y)
    assert "Version 2 is signed." in post()  # every candidate of the hotspot has a verdict


def test_signing_finishes_the_slide_and_the_next_one_is_offered(client_of, alice, slide, make_slide, make_run):
    other = make_slide("next.tif", mpp=2.0)
    make_run(other, [(100, 100, 0.9)])
    assert "signed</span>" not in client_of(alice).get("/?show=read").content.decode()
    sign(client_of(alice), slide)
    read = client_of(alice).get("/?show=read").content.decode()
    assert "signed</span>" in read and f"/slides/{slide.pk}/" in read
    page = client_of(alice).get(f"/slides/{slide.pk}/report/").content.decode()
    assert f'id="next" class="button primary" href="/slides/{other.pk}/" autofocus' in page
    make_run(slide, CANDIDATES)  # a newer run asks for another look
    assert f"/slides/{slide.pk}/" in client_of(alice).get("/?show=to-read").content.decode()


def test_a_report_by_a_rule_that_is_gone_or_changed_is_read_all_the_same(client_of, alice, slide, settings):
    def rule(version, counts):
        ours = Rule("ours", version, "Ours", "SOP 12", area_mm2=2.0, counts=counts)
        settings.SCORE_RULES = {**built_in, "ours": ours}

    built_in = dict(settings.SCORE_RULES)
    rule(1, (3, 6))
    body = {"rule": "ours"}
    assert client_of(alice).post(f"/api/v1/slides/{slide.pk}/reports/", body, format="json").status_code == 201
    (report,) = Report.objects.all()
    assert report_changes(report=report) == []
    rule(2, (20, 30))
    assert report_changes(report=report) == [
        "The rule ours is in version 2 now; it was scored by version 1.", "Mitotic score: 3 when it was signed, 1 now.",
    ]  # fmt: skip
    settings.SCORE_RULES = built_in
    assert report_changes(report=report) == ["The rule ours, by which it was scored, is not in use here any more."]
    for address in (f"/slides/{slide.pk}/report/", f"/reports/check/?hash={report.sha256}"):
        assert "not in use here any more" in client_of(alice).get(address).content.decode()


def test_a_report_is_read_where_less_is_evaluable_now(client_of, alice, slide):
    sign(client_of(alice), slide)
    region_draw(slide=slide, by=alice, kind=Region.Kind.TUMOUR, polygon=[[0, 0], [300, 0], [300, 300]])
    (report,) = client_of(alice).get(f"/api/v1/slides/{slide.pk}/reports/").json()
    assert report["changes"][-1] == "Mitotic score: 2 when it was signed, 1 now."


def test_a_report_has_the_um_per_px_that_its_areas_follow_from(client_of, alice, root, slide):
    slide.mpp_source = "entered"
    slide.save()
    slide_set_mpp(slide=slide, mpp=3.0, user=root)
    answer = sign(client_of(alice), slide).json()
    assert answer["facts"]["count"]["mpp"] == [3.0, 3.0]
    text = text_of(client_of(alice).get(answer["pdf"]).content)
    assert "3 x 3 µm/px (entered)" in text and "which was made at 2 x 2" in text


def test_where_little_is_evaluable_the_report_says_so(client_of, alice, make_slide, make_run):
    slide = make_slide(mpp=0.25)
    make_run(slide, [(100, 100, 0.9)])
    text = text_of(client_of(alice).get(sign(client_of(alice), slide).json()["pdf"]).content)
    assert "all there is, 0.0147 of 2 mm² evaluable" in " ".join(text.split()) and "Small sample" not in text
    assert "Only 0.015 of 2 mm² are evaluable" in text and "There is no score below 0.1 mm²." in text


def test_without_mpp_nothing_is_signed(client_of, alice, make_slide, make_run):
    slide = make_slide(mpp=None)
    make_run(slide, [(1, 1, 0.9)])
    assert sign(client_of(alice), slide).status_code == 409


def test_many_figures_and_long_names_take_more_pages(client_of, alice, make_slide, make_run, study):
    from webapp.slides.models import Case

    picture = np.full((1200, 1500, 3), (225, 160, 190), np.uint8)
    case = Case.objects.create(study=study, identifier="case-" + "w" * 90)
    slide = make_slide("n" * 240 + ".svs", mpp=2.0, image=picture, case=case)
    make_run(slide, [(600 + 20 * (i % 10), 500 + 20 * (i // 10), 0.9) for i in range(100)])
    pdf = client_of(alice).get(sign(client_of(alice), slide).json()["pdf"]).content
    pages = PdfReader(io.BytesIO(pdf)).pages
    assert len(pages) > 1
    assert "in the hotspot: 100" in text_of(pdf) and text_of(pdf).count("0.90 not reviewed") == 100


def test_all_reports_are_checked_by_a_command(client_of, alice, slide, capsys):
    sign(client_of(alice), slide)
    call_command("check_reports")
    assert "All 1 reports are as they were signed." in capsys.readouterr().out
    report = Report.objects.get()
    report.facts["count"]["count"] = 1
    report.save()
    with pytest.raises(CommandError, match="1 of 1 reports"):
        call_command("check_reports")
    assert "Its numbers are not the signed ones" in capsys.readouterr().out


def test_a_seal_holds_in_any_time_zone(client_of, alice, slide):
    with timezone.override("Europe/Berlin"):
        signed = sign(client_of(alice), slide).json()
    report = Report.objects.get(pk=signed["id"])
    assert report.facts["signed_at"].endswith(("+01:00", "+02:00"))
    assert report_faults(report) == []


def test_a_comment_that_is_too_long_is_refused_and_none_of_it_is_dropped(client_of, alice, slide):
    def post(comment):
        sent = {"comment": comment, "unreviewed": "yes"}
        return client_of(alice).post(f"/slides/{slide.pk}/report/", sent, follow=True).content.decode()

    assert "at most 4,000 characters, this one 4,001" in post("a" * 4001) and not Report.objects.exists()
    post("a\r\n" * 1999 + "b")  # 3,999 as they were typed
    assert Report.objects.get().facts["comment"] == "a\n" * 1999 + "b"
