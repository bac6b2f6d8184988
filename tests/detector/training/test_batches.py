from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from detector import paper
from detector.frames import LabelledFrame, LabStatistics, points
from detector.training.augment import Augmentation
from detector.training.batches import SampleSets, compose_batch, prefetch
from detector.training.patch_sets import Sample
from detector.training.plan import Plan

STILL = Augmentation(contrast_transfer=0.0, shift=0.0, scale=0.0, colour=0.0)


def plain(grey, source="drawn"):
    """A sample of a frame of one grey, which tells a patch's set."""
    image = np.full((160, 160, 3), grey, dtype=np.uint8)
    stain = LabStatistics((float(grey), 128.0, 128.0), (10.0, 1.0, 1.0))
    frame = LabelledFrame(f"grey{grey}", "A", image, points(), points(), 0.25, stain, source)
    return Sample(frame, 80.0, 80.0)


LAB, RAND, CONTEXT, HARD, WSI, OTHER_LAB = 10, 60, 110, 160, 210, 250
SETS = SampleSets([plain(LAB)], [plain(RAND)])


def greys(sets, plan, iterations=1):
    """The grey of each patch of some batches, foreground and background apart."""
    foreground, background = [], []
    for iteration in range(iterations):
        patches, labels, _ = compose_batch(sets, plan, iteration)
        assert (patches == patches[:, :1, :1, :1]).all()
        foreground += patches[labels == 1, 0, 0, 0].tolist()
        background += patches[labels == 0, 0, 0, 0].tolist()
    return foreground, background


@pytest.mark.parametrize(
    ("plan", "composition"),
    [(Plan(), (2, 62)), (Plan(foreground_per_batch=8, background_per_batch=56), (8, 56))],
)
def test_a_batch_has_64_patches_in_the_ratio_of_the_plan(plan, composition):
    patches, labels, _ = compose_batch(SETS, plan, 0)
    assert patches.shape == (paper.BATCH_SIZE, 128, 128, 3)
    assert patches.dtype == np.uint8
    assert (int(labels.sum()), int((1 - labels).sum())) == composition


def test_labels_say_from_which_set_a_patch_is():
    assert greys(SETS, Plan(augmentation=STILL)) == ([LAB] * 2, [RAND] * 62)


def test_background_is_from_bg_hard_once_it_is_there():
    assert set(greys(replace(SETS, bg_hard=[plain(HARD)]), Plan(augmentation=STILL))[1]) == {HARD}
    _, mixed = greys(replace(SETS, bg_hard=[plain(HARD)]), Plan(augmentation=STILL, hard_share=0.75), 20)
    assert mixed.count(HARD) / len(mixed) == pytest.approx(0.75, abs=0.06)


def test_background_is_from_the_sources_of_mitoses_and_as_often():
    sets = SampleSets(
        [*[plain(LAB)] * 90, *[plain(OTHER_LAB, "another")] * 10],
        [*[plain(RAND)] * 10, *[plain(CONTEXT, "another")] * 90],
    )
    foreground, background = greys(sets, Plan(augmentation=STILL, foreground_per_batch=32), 20)
    share = 10**0.5 / (10**0.5 + 90**0.5)
    assert foreground.count(OTHER_LAB) / len(foreground) == pytest.approx(share, abs=0.06)
    assert background.count(CONTEXT) / len(background) == pytest.approx(share, abs=0.05)


def test_a_source_of_single_patches_has_their_rims_and_background_of_frames_in_its_stain():
    patches = plain(OTHER_LAB, "patches")
    sets = SampleSets([patches], [plain(RAND)], [plain(CONTEXT, "patches")])
    _, background = greys(sets, Plan(augmentation=STILL, context_share=0.2), 20)
    assert background.count(CONTEXT) / len(background) == pytest.approx(0.2, abs=0.05)
    assert background.count(RAND) == 0, "in its own stain, which would be a sign of background"
    assert len(set(background)) == 2
    hard = replace(sets, bg_hard=[plain(HARD, "patches")])
    _, background = greys(hard, Plan(augmentation=STILL, context_share=0.2), 20)
    assert background.count(HARD) / len(background) == pytest.approx(0.2, abs=0.05)


def test_frames_without_a_mitosis_give_background_by_their_size():
    sets = SampleSets([plain(LAB)], [plain(RAND), *[plain(CONTEXT, "none")] * 3])
    _, background = greys(sets, Plan(augmentation=STILL), 20)
    # Three of four draws go to all frames by the square root of their size; what is "none" gets the stain of LAB.
    none = 1 - background.count(RAND) / len(background)
    assert none == pytest.approx(0.75 * 3**0.5 / (1 + 3**0.5), abs=0.05)
    assert background.count(CONTEXT) == 0


@pytest.mark.parametrize(("ratio", "share"), [((1, 1), 0.5), ((3, 1), 0.25), ((1, 0), 0.0), ((0, 1), 1.0)])
def test_foreground_is_from_fg_lab_and_fg_wsi_in_a_fixed_ratio(ratio, share):
    plan = Plan(augmentation=STILL, foreground_per_batch=40, background_per_batch=1, fg_lab_per_fg_wsi=ratio)
    foreground, _ = greys(replace(SETS, fg_wsi=[plain(WSI)] * 30), plan, 20)
    assert foreground.count(WSI) / len(foreground) == pytest.approx(share, abs=0.06)
    assert greys(SETS, plan)[0] == [LAB] * 40


def test_a_few_mined_samples_come_no_more_often_than_labelled_ones():
    sets = replace(SETS, fg_lab=[plain(LAB)] * 90, fg_wsi=[plain(WSI)] * 10)
    plan = Plan(augmentation=STILL, foreground_per_batch=40, background_per_batch=1, fg_lab_per_fg_wsi=(1, 1))
    foreground, _ = greys(sets, plan, 20)
    assert foreground.count(WSI) / len(foreground) == pytest.approx(0.1, abs=0.04)


def test_a_mined_sample_comes_as_often_as_a_labelled_one_of_the_source_with_the_fewest():
    labelled = [*[plain(LAB)] * 500, *[plain(OTHER_LAB, "another")] * 10]
    sets = replace(SETS, fg_lab=labelled, fg_wsi=[plain(WSI)] * 5)
    plan = Plan(augmentation=STILL, foreground_per_batch=40, background_per_batch=1, fg_lab_per_fg_wsi=(1, 1))
    foreground, _ = greys(sets, plan, 20)
    other, mined = (foreground.count(grey) / len(foreground) for grey in (OTHER_LAB, WSI))
    labelled_share = 10**0.5 / (10**0.5 + paper.SOURCE_FULL**0.5)
    assert mined == pytest.approx(5 / (10 / labelled_share + 5), abs=0.02)
    assert other / (1 - mined) == pytest.approx(labelled_share, abs=0.05)


def test_more_mitoses_than_a_source_needs_take_nothing_from_the_others():
    some, many = ([*[plain(LAB)] * 100, *[plain(OTHER_LAB, "another")] * n] for n in (paper.SOURCE_FULL, 4000))
    assert replace(SETS, fg_lab=some).shares.tolist() == replace(SETS, fg_lab=many).shares.tolist()


def test_each_source_is_learnt_by_its_own_ratio_of_mitoses_to_hard_negatives():
    labelled = [plain(LAB), plain(OTHER_LAB, "another"), plain(WSI, "of patches")]
    background = [plain(RAND), plain(RAND + 5, "another")]
    hard = [*[plain(HARD)] * 6, *[plain(HARD + 5, "another")] * 2]
    sets = replace(SETS, fg_lab=labelled, bg_rand=background, bg_hard=hard, bg_context=[plain(CONTEXT, "of patches")])
    plan = Plan(augmentation=STILL, foreground_per_batch=30, background_per_batch=90, hard_share=0.5, context_share=0.9)
    patches, _, priors = compose_batch(sets, replace(plan, source_priors=True), 0)
    by_grey = {grey: set(priors[patches[:, 0, 0, 0] == grey].tolist()) for grey in np.unique(patches)}
    more, fewer = np.float32(np.log(3) / 2), np.float32(-np.log(3) / 2)
    assert by_grey[LAB] == {more} and by_grey[OTHER_LAB] == {fewer} and by_grey[WSI] == by_grey[CONTEXT] == {0}
    assert {more, fewer} >= by_grey[HARD] - {0} and more in by_grey[HARD] and fewer in by_grey[HARD + 5]
    assert not compose_batch(sets, plan, 0)[2].any()  # the paper has one source
    assert not compose_batch(replace(sets, bg_hard=[]), replace(plan, source_priors=True), 0)[2].any()  # not known yet


def test_a_handful_of_mitoses_does_not_dominate():
    sets = replace(SETS, fg_lab=[*[plain(LAB)] * 300, *[plain(OTHER_LAB, "a person's verdicts")] * 3])
    foreground, _ = greys(sets, Plan(augmentation=STILL, foreground_per_batch=40, background_per_batch=1), 20)
    assert foreground.count(OTHER_LAB) / len(foreground) == pytest.approx(1 / 11, abs=0.04)


def test_the_other_stain_is_drawn_evenly_over_the_other_frames():
    stains = [plain(grey).frame.stain for grey in (RAND, LAB, WSI, HARD)]
    plan = Plan(augmentation=replace(STILL, contrast_transfer=1.0))
    _, background = greys(replace(SETS, stains=stains), plan, 30)
    shares = [background.count(grey) / len(background) for grey in set(background)]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.04)


def test_contrast_transfer_gives_patches_the_stains_of_other_frames():
    stains = [plain(LAB).frame.stain, plain(WSI).frame.stain]
    plan = Plan(augmentation=replace(STILL, contrast_transfer=0.5))
    _, background = greys(replace(SETS, stains=stains), plan, 10)
    kept = background.count(RAND) / len(background)
    assert kept == pytest.approx(0.5, abs=0.08)
    assert len(set(background)) == 3


def test_iteration_i_is_the_same_from_a_fresh_stream():
    def make(iteration):
        return compose_batch(SETS, Plan(), iteration)

    whole = list(prefetch(make, 0, 7))
    for start in (3, 6):
        for (patches, labels, _), (again, same, _) in zip(whole[start:], prefetch(make, start, 7), strict=True):
            assert (patches == again).all()
            assert (labels == same).all()
    assert not (whole[0][0] == whole[1][0]).all()
    assert not (compose_batch(SETS, Plan(seed=2), 0)[0] == whole[0][0]).all()


def test_a_stream_that_is_left_early_ends_its_thread():
    batches = prefetch(lambda iteration: iteration, 0, 1000)
    assert next(batches) == 0
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_what_goes_wrong_in_the_thread_is_raised_where_batches_are_taken():
    with pytest.raises(ValueError, match="nothing to draw"):
        list(prefetch(lambda iteration: compose_batch(SampleSets([], [plain(RAND)]), Plan(), iteration), 0, 3))
