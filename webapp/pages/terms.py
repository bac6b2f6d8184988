"""The terms of the pages, each in one or two sentences: the glossary, and what a term says when it is pointed at."""

from __future__ import annotations

from typing import Final

TERMS: Final[dict[str, tuple[str, str]]] = {
    "active": ("Active version", "The model version that detects, until another one is promoted."),
    "added": ("Added figure", "A mitotic figure that a reader marked where the detector had no candidate."),
    "agreement": (
        "Confidence under all eight",
        "The least confidence of a candidate under eight flips and rotations. Mining takes what passes under all.",
    ),
    "agreement-of-readers": (
        "Agreement of readers",
        "The share of figures on which two say the same, and by how much that is more than chance: Cohen's kappa of "
        "two, Fleiss' of more; of counts the limits of agreement (Bland and Altman); of scores kappa by distance.",
    ),
    "atypical": (
        "Atypical mitotic figure",
        "A mitosis whose chromosomes go astray: more than two poles, bridges, or some left behind. A network says how "
        "likely; the reader confirms it.",
    ),
    "blinded": (
        "Blinded reading",
        "Two or more read the same slide, each on a copy of their own; none sees the verdicts or counts of another "
        "until all are done.",
    ),
    "candidate": (
        "Candidate",
        "A place at which the detector suspects a mitotic figure. Those from confidence 0.2 are stored; those from the "
        "threshold are counted until a reader judges them.",
    ),
    "confidence": (
        "Confidence",
        "How sure the detector is that a candidate is a mitotic figure, 0 to 1, calibrated on slides that it had not "
        "learnt from, so that 0.5 is near the best threshold there. It is not the mitotic score.",
    ),
    "density": ("per mm²", "Mitotic figures divided by the evaluable area."),
    "evaluable": (
        "Evaluable area",
        "Tissue, inside the tumour regions where any are drawn, outside exclusions. Counts, densities and the hotspot "
        "are of this area.",
    ),
    "exclusion": ("Exclusion", "A region in which nothing is counted, such as necrosis or a fold."),
    "f1": ("F1", "The harmonic mean of precision and recall; 1 is perfect. Max F1 is that at the best threshold."),
    "hotspot": (
        "Hotspot",
        "The circle, square or ten fields that hold the most figures in so much evaluable area, 2 mm² where the study "
        "says nothing else.",
    ),
    "interval": (
        "95 % interval",
        "The range in which the true value lies in 95 of 100 such samples: of a count by Poisson (Garwood), of a share "
        "by Wilson, of F1 by drawing cases anew (bootstrap).",
    ),
    "judged": ("Judged", "A candidate or figure on which a reader has given a verdict: mitotic, not mitotic, unsure."),
    "locked": ("Locked case", "A case that no training uses, so that versions can be compared on it."),
    "mining": (
        "Mining",
        "Finding training samples on slides without labels: what the active version is sure of in every orientation.",
    ),
    "mitotic-score": (
        "Mitotic score",
        "The grade of the hotspot's count by a published rule, 1 to 3: one of the three parts of the Nottingham grade.",
    ),
    "precision": ("Precision", "Of what the detector calls mitotic, the share that is."),
    "recall": ("Recall", "Of all mitotic figures, the share that the detector finds; also called sensitivity."),
    "reviewed": (
        "Reviewed",
        "The count as readers have judged it: every figure called mitotic, and the candidates that nobody has judged "
        "yet. The hotspot is reviewed when every candidate in it has a verdict.",
    ),
    "run": ("Run", "One detection on a slide by one model version. Its candidates never change."),
    "screening": (
        "Screening",
        "Looking at all that is evaluable, field by field. What was shown at 0.3 µm/px or finer for a second is seen.",
    ),
    "threshold": ("Threshold", "The confidence from which candidates are counted."),
    "training-range": (
        "Training range",
        "The stains and scanners that a version has learnt from or is calibrated for. Outside of it a count is less "
        "certain.",
    ),
    "um-per-px": ("µm/px", "The size of a pixel of the scan: about 0.25 for a 40-fold scan, 0.5 for a 20-fold one."),
}
