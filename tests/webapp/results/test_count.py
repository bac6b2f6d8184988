"""Score, intervals, regions, verdicts: the number against a hand calculation."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import chi2

from detector.slide.masks import TISSUE_FILE, mask_png
from webapp.annotations.models import Label, Region
from webapp.annotations.services import figure_judge, region_draw, region_remove
from webapp.results.poisson import poisson_interval
from webapp.results.rules import BUILT_IN, read_rules, score
from webapp.slides.storage import tissue_keep

# 1.6 x 1.2 mm at 1 um/px: a circle of 0.5 mm2 has a radius of 398.94 px. Two of three lie in one.
CANDIDATES = [(500.0, 500.0, 0.95), (1200.0, 500.0, 0.6), (800.0, 500.0, 0.9), (300.0, 900.0, 0.4)]
QUERY = "min_score=0.5&area_mm2=0.5"


@pytest.fixture
def slide(alice, make_slide, make_run):
    picture = np.full((1200, 1600, 3), (225, 160, 190), np.uint8)
    slide = make_slide(mpp=1.0, image=picture, tissue_fraction=1.0)
    make_run(slide, CANDIDATES)
    return slide


@pytest.fixture
def count(client_of, alice, slide):
    def ask(query=QUERY):
        answer = client_of(alice).get(f"/api/v1/slides/{slide.pk}/mitosis-count/?{query}")
        assert answer.status_code == 200, answer.content
        return answer.json()

    return ask


def judge(slide, by, x, y, label, expected=0):
    return figure_judge(slide=slide, by=by, x=x, y=y, label=label, expected=expected)


def box(x0, y0, x1, y1):
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]]


def test_count_density_hotspot_and_score_by_hand(count):
    body = count()
    assert body["count"] == 3
    assert body["tissue_mm2"] == pytest.approx(1.92)
    assert body["count_per_mm2"] == pytest.approx(3 / 1.92)
    hotspot = body["hotspot"]
    assert hotspot["count"] == 3  # 700 px apart: within twice the radius
    assert (hotspot["x"], hotspot["y"]) == pytest.approx((850, 500), abs=60)
    assert hotspot["count_per_mm2"] == 6
    assert hotspot["interval"] == pytest.approx([0.6187, 8.7673], abs=1e-4)
    assert hotspot["unseen"] == 3
    rule = body["score"]["rule"]
    assert (rule["id"], rule["version"], rule["area_mm2"]) == ("per-mm2", 1, 0.5)
    assert rule["cut_offs"] == [2, 4]  # above 1.5, from 4
    assert (body["score"]["value"], body["score"]["to_next"]) == (2, 1)
    assert body["reviewed"] is None  # nobody has judged
    assert body["review"] == {"state": "not reviewed", "judged": 0, "of": 3, "left": 3}
    assert body["judged"] == {"mitotic": 0, "non_mitotic": 0, "unsure": 0, "added": 0, "unseen": 3, "atypical": None}
    assert body["stale"] == [] and body["reason"] == ""


def test_rejecting_one_in_the_hotspot_changes_the_reviewed_value_at_once(count, slide, alice):
    count()
    judge(slide, alice, 800, 500, Label.NON_MITOTIC)
    body = count()
    assert (body["ai"]["count"], body["reviewed"]["count"], body["count"]) == (3, 2, 2)
    assert (body["hotspot"]["count"], body["score"]["value"], body["hotspot"]["unseen"]) == (2, 2, 2)
    assert body["ai"]["hotspots"][0]["count"] == 3
    judge(slide, alice, 800, 500, Label.OPEN, expected=1)
    assert count()["reviewed"] is None


def test_what_people_call_mitotic_counts_at_any_score_and_unsure_does_not(count, slide, alice):
    judge(slide, alice, 300, 900, Label.MITOTIC)  # a candidate of 0.4
    judge(slide, alice, 1500, 1100, Label.MITOTIC)  # none at all
    judge(slide, alice, 500, 500, Label.UNSURE)
    body = count()
    assert (body["ai"]["count"], body["reviewed"]["count"]) == (3, 4)
    assert body["judged"] == {"mitotic": 2, "non_mitotic": 0, "unsure": 1, "added": 1, "unseen": 2, "atypical": None}


def test_regions_bound_count_tissue_and_hotspot_of_both_values(count, slide, alice):
    tumour = region_draw(slide=slide, by=alice, kind=Region.Kind.TUMOUR, polygon=box(0, 0, 1000, 1200))
    body = count()
    assert (body["ai"]["count"], body["count"], body["reviewed"]) == (2, 2, None)
    assert body["tissue_mm2"] == pytest.approx(1.2, rel=0.01)
    hotspot = body["hotspot"]
    assert hotspot["x"] < 1000 and hotspot["evaluable_mm2"] == pytest.approx(0.5)
    assert hotspot["reach_mm"] > math.sqrt(0.5 / math.pi)  # part of it lies outside of the tumour
    region_draw(slide=slide, by=alice, kind=Region.Kind.EXCLUSION, polygon=box(700, 400, 900, 600))
    assert count()["count"] == 1
    region_remove(region=tumour, by=alice)
    assert count()["count"] == 2


def test_where_less_is_evaluable_all_of_it_is_counted_and_the_sample_is_called_small(count, slide, alice):
    body = count("min_score=0.5")
    hotspot, score = body["hotspot"], body["score"]
    assert (hotspot["count"], hotspot["reach_mm"], hotspot["area_mm2"]) == (3, None, 2.0)
    assert hotspot["evaluable_mm2"] == pytest.approx(1.92) == body["tissue_mm2"]
    assert hotspot["count_per_mm2"] == pytest.approx(3 / 1.92)
    assert (score["value"], score["small_sample"]) == (1, True)
    assert body["reason"] == "Only 1.92 of 2 mm2 are evaluable; everything there is counted."
    assert count("min_score=0.99")["score"]["small_sample"]
    assert not count()["score"]["small_sample"]
    region_draw(slide=slide, by=alice, kind=Region.Kind.EXCLUSION, polygon=box(0, 0, 1600, 1200))
    assert count()["reason"].startswith("There is no tissue where figures are counted")


def test_a_rule_may_withhold_the_score_of_a_small_sample(count, settings):
    settings.SCORE_RULES = {
        **settings.SCORE_RULES,
        "strict": replace(settings.SCORE_RULES["per-mm2"], id="strict", withhold_small=True),
    }
    body = count("min_score=0.5&rule=strict")
    assert body["score"] is None and body["hotspot"]["count"] == 3
    assert "strict gives no score on so little" in body["reason"]
    assert count("min_score=0.5&area_mm2=0.5&rule=strict")["score"]["value"] == 2


def test_where_no_place_holds_the_area_a_rule_may_withhold_the_score(client_of, alice, make_slide, make_run, settings):
    """Fragments far apart, 3.2 mm2 in all: a circle reaches a few of them."""
    strict = replace(settings.SCORE_RULES["per-mm2"], id="strict", withhold_small=True)
    settings.SCORE_RULES = {**settings.SCORE_RULES, "strict": strict}
    slide = make_slide("fragments", mpp=10.0, image=np.full((1000, 1000, 3), 255, np.uint8), tissue_fraction=0.0324)
    tissue = np.zeros((1000, 1000), bool)
    corners = [(80 + 160 * i, 80 + 160 * j) for i in range(6) for j in range(6)]
    for x, y in corners:
        tissue[y : y + 30, x : x + 30] = True
    tissue_keep(slide, tissue)
    client = client_of(alice)

    def counted(rule, shape="circle"):
        answer = client.get(f"/api/v1/slides/{slide.pk}/mitosis-count/?rule={rule}&shape={shape}").json()
        return answer["score"] and (answer["score"]["value"], answer["score"]["small_sample"]), answer

    make_run(slide, [])
    assert counted("strict")[0] is None and counted("per-mm2")[0] == (1, True)
    make_run(slide, [(x + 5 * n, y + 15, 0.9) for x, y in corners for n in (1, 5)])
    for shape, held in (("circle", 0.775), ("square", 0.775), ("fields", 0)):
        score, answer = counted("strict", shape)
        assert score is None and answer["review"]["left"] is None and "lies far apart" in answer["reason"]
        assert answer["hotspot"]["count"] >= 8 and answer["hotspot"]["evaluable_mm2"] >= held
    (value, small), answer = counted("per-mm2")
    assert (value, small) == (3, True) and "lies far apart" in answer["reason"]


def test_a_rule_brings_its_area_and_refuses_another(count):
    body = count("rule=nottingham-0.40")
    assert body["area_mm2"] == pytest.approx(1.2566, abs=1e-4)
    assert body["hotspot"]["evaluable_mm2"] == pytest.approx(1.2566, abs=1e-4)
    assert "is for 1.257 mm2" in count("rule=nottingham-0.40&area_mm2=0.5")["reason"]


def test_ten_fields_hold_a_tenth_of_the_area_each(count, slide, alice):
    body = count("min_score=0.3&area_mm2=0.5&shape=fields")
    hotspot = body["hotspot"]
    assert [field["count"] for field in hotspot["fields"]] == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0] and hotspot["count"] == 4
    assert hotspot["evaluable_mm2"] == pytest.approx(0.5)  # of four that hold all figures there are, and six empty ones
    assert body["score"]["value"] == 3 and not body["score"]["small_sample"]
    for one, two in itertools.combinations(hotspot["fields"], 2):
        assert math.hypot(one["x"] - two["x"], one["y"] - two["y"]) >= (one["reach_mm"] + two["reach_mm"]) * 1000 - 1e-6


def test_figures_count_on_tissue_and_at_its_rim_and_a_hotspot_holds_tissue(count, slide, alice):
    tissue = np.zeros((1200, 1600), bool)
    tissue[:, :700] = True
    (slide.folder / TISSUE_FILE).write_bytes(mask_png(tissue))
    type(slide).objects.update(tissue_fraction=tissue.mean())
    body = count()
    assert (body["ai"]["count"], body["judged"]["unseen"]) == (1, 1)  # those at 800 and 1200 lie on glass
    assert body["tissue_mm2"] == pytest.approx(0.84)
    assert body["hotspot"]["x"] < 700 and body["hotspot"]["evaluable_mm2"] == pytest.approx(0.5)
    judge(slide, alice, 715, 600, Label.MITOTIC)  # 15 um from the tissue
    judge(slide, alice, 760, 600, Label.MITOTIC)
    assert count()["count"] == 2


def test_no_mitoses_are_score_1_without_a_hotspot(count):
    body = count("min_score=0.99&area_mm2=0.5")
    assert body["hotspot"] is None
    assert (body["score"]["value"], body["score"]["to_next"]) == (1, 2)
    assert body["score"]["interval"] == pytest.approx([0, 3.6889], abs=1e-4)


def test_an_area_in_which_the_rule_cannot_tell_has_no_score(count):
    body = count("area_mm2=0.1")
    assert body["score"] is None and body["hotspot"] is not None
    assert "cannot tell a score of 1, 2 and 3" in body["reason"]


def test_unknown_mpp_gives_no_area_no_score_and_the_reason(client_of, alice, make_slide, make_run):
    slide = make_slide(mpp=None)
    make_run(slide, [(10, 10, 0.9)])
    body = client_of(alice).get(f"/api/v1/slides/{slide.pk}/mitosis-count/").json()
    assert body["count"] == 1
    assert body["count_per_mm2"] is body["tissue_mm2"] is body["hotspot"] is body["score"] is None
    assert "um/px" in body["reason"]


def test_a_stale_count_says_so(count, slide, model, make_run):
    model.state = "retired"
    model.save()
    type(model).objects.create(name="m2", state="active", path="m2.safetensors", sha256="2" * 64, card={})
    assert count()["stale"] == ["The model m2 is active now; this run was made with m."]
    run = count()["run"]
    make_run(slide, [])
    stale = count(f"run={run}&min_score=0.7&area_mm2=0.5")["stale"]
    assert [sentence.split()[0:3] for sentence in stale] == [
        ["There", "is", "a"], ["The", "model", "m2"], ["Counted", "from", "score"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query", ["area_mm2=0", "area_mm2=x", "shape=hexagon", "rule=none", "min_score=nan", "min_score=inf"]
)
def test_bad_questions_are_answered(client_of, alice, slide, query):
    answer = client_of(alice).get(f"/api/v1/slides/{slide.pk}/mitosis-count/?{query}")
    assert answer.status_code == 400


@pytest.mark.parametrize("seen", [0, 1, 10, 100, 3000])
def test_poisson_intervals_are_exact(seen):
    low = chi2.ppf(0.025, 2 * seen) / 2 if seen else 0.0
    assert poisson_interval(seen) == pytest.approx((low, chi2.ppf(0.975, 2 * seen + 2) / 2), rel=1e-9)


def test_scores_at_the_cut_offs():
    rules = read_rules(BUILT_IN)
    ten_fields = rules["nottingham-0.59"]
    assert ten_fields.area_mm2 == pytest.approx(2.734, abs=1e-3)
    cut_offs = ten_fields.cut_offs(ten_fields.area_mm2)
    assert [score(count, cut_offs) for count in (0, 9, 10, 19, 20)] == [(1, 10), (1, 1), (2, 10), (2, 1), (3, None)]
    assert rules["per-mm2"].cut_offs(2) == (7, 16)
    densities = [[cut / rule.area_mm2 for cut in rule.counts] for rule in rules.values() if rule.counts]
    assert all(3.5 < second < 4.4 and 7.2 < third < 8.1 for second, third in densities)


def test_a_laboratory_has_rules_of_its_own(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(
        '[[rule]]\nid = "ours"\nversion = 3\nname = "Ours"\nsource = "SOP 12"\narea_mm2 = 1.5\ncounts = [6, 12]\n'
    )
    rules = read_rules(BUILT_IN, path)
    assert rules["ours"].cut_offs(1.5) == (6, 12)
    assert rules["ours"].cut_offs(2) is None


@pytest.mark.parametrize(
    "text",
    ["[[rule]", '[[rule]]\nid="x"', '[[rule]]\nid="x"\nversion=1\nname="x"\nsource="x"\nper_mm2=[8,3]',
     '[[rule]]\nid="per-mm2"\nversion=1\nname="x"\nsource="x"\nper_mm2=[3,8]'],
)  # fmt: skip
def test_rules_that_are_none_are_refused_with_a_sentence(tmp_path: Path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match="own.toml"):
        read_rules(BUILT_IN, path)


def test_the_study_chooses_rule_area_and_shape_and_a_question_may_vary_them(count, slide):
    study = slide.case.study
    study.rule, study.shape = "nottingham-0.50", "square"
    study.save()
    body = count("min_score=0.5")
    assert (body["shape"], body["area_mm2"]) == ("square", pytest.approx(10 * math.pi * 0.25**2))
    assert body["score"]["rule"]["id"] == "nottingham-0.50"
    assert count("min_score=0.5&rule=per-mm2&shape=circle")["area_mm2"] == 2.0
    study.rule, study.area_mm2 = "per-mm2", 0.5
    study.save()
    body = count("min_score=0.5")
    assert (body["area_mm2"], body["score"]["rule"]["area_mm2"], body["stale"]) == (0.5, 0.5, [])
    study.rule = "gone"
    study.save()
    assert count("min_score=0.5")["stale"] == ["The rule of this study, gone, is not in use here any more."]


def test_rules_are_listed_by_family(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[[rule]]\nid = "ours"\nversion = 1\nname = "Ours"\nsource = "SOP"\ncounts = [3, 6]\narea_mm2 = 2\n')
    families = [rule.family for rule in read_rules(BUILT_IN, own).values()]
    assert families == ["Per mm²", *["Nottingham, by the diameter of a field"] * 30, "The laboratory's"]


def test_people_correct_where_tissue_was_measured(count, slide, alice, client_of):
    address = f"/api/v1/slides/{slide.pk}/tissue.png"
    assert client_of(alice).get(address).status_code == 204  # it was not measured
    tissue = np.zeros((120, 160), bool)
    tissue[:, :80] = True
    slide.folder.mkdir(parents=True, exist_ok=True)
    (slide.folder / TISSUE_FILE).write_bytes(mask_png(tissue))
    slide.tissue_fraction = 0.5
    slide.save()
    assert (count()["tissue_mm2"], count()["count"]) == (pytest.approx(0.96), 2)  # 800 px lies at its rim
    glass = region_draw(slide=slide, by=alice, kind=Region.Kind.GLASS, polygon=box(0, 0, 600, 600))
    assert (count()["tissue_mm2"], count()["count"]) == (pytest.approx(0.6), 1)
    region_draw(slide=slide, by=alice, kind=Region.Kind.TISSUE, polygon=box(1000, 0, 1600, 1200))
    assert (count()["tissue_mm2"], count()["count"]) == (pytest.approx(1.32), 2)
    region_draw(slide=slide, by=alice, kind=Region.Kind.EXCLUSION, polygon=box(1000, 0, 1600, 600))
    assert (count()["tissue_mm2"], count()["count"]) == (pytest.approx(0.96), 1)
    picture = np.asarray(Image.open(BytesIO(client_of(alice).get(address).content)))
    assert picture.shape == (120, 160)
    assert (picture[30, 30], picture[100, 30], picture[30, 130], picture[30, 90]) == (0, 255, 255, 0)
    assert picture[100, 81] == 128  # within 25 um of tissue
    region_remove(region=glass, by=alice)
    assert count()["count"] == 2
    assert set(Region.objects.values_list("kind", "by__username")) == {
        ("glass", "alice"),
        ("tissue", "alice"),
        ("exclusion", "alice"),
    }
