"""Every number of Akram et al. 2018 that the code uses, and every number that the paper leaves open.

Names under *printed* stand in the text of the paper (section in the comment). Those under *open* do not; each says why
its value was chosen. Pixels are pixels of the working resolution (0.25 um/px) unless the name says otherwise.
"""

from __future__ import annotations

# ---- printed ---------------------------------------------------------------------------------------------------

WEIGHT_LAYERS = 12  # 3.1: "a 12-layer ResNet"
PATCH_SIZE = 128  # 3.1 Training: patches of 128 x 128
BATCH_SIZE = 64  # 3.1 Training
FOREGROUND_PER_BATCH = 2  # 3.1 Training: fixed ratio mitotic : background of 2 : 62
BACKGROUND_PER_BATCH = 62
LEARNING_RATE_STEPS = ((20_000, 1e-4), (30_000, 1e-5), (10_000, 1e-6))  # 3.1 Training: iterations, Adam learning rate
HARD_NEGATIVES_AT = 30_000  # 3.1 Training: BG-Hard replaces BG-Rand at 30k of 60k iterations
HARD_NMS_RADIUS = 50  # 3.1 Training: suppression of BG-Hard detections, "a distance of 50 pixels"
WINDOW_SIZE = 512  # 3.1 Testing
MIRROR_PAD = 64  # 3.1 Testing
WINDOW_OVERLAP = 120  # 3.1 Testing
NMS_RADIUS = 30  # 3.1 Testing
SCORE_THRESHOLD = 0.5  # 3.1 Testing: "we remove all detections with score below 0.5"
MATCH_RADIUS = 30  # 4 Metrics
VALIDATION_SHARE = 0.2  # 4 Dataset: 80 % train, 20 % validation, at case level

# ---- open in the paper -----------------------------------------------------------------------------------------

WORKING_MPP = 0.25  # um/px. The matching radius of 30 px is the 7.5 um of the MIDOG challenge at this resolution.
NATIVE_TOLERANCE = 0.03  # A slide this close to WORKING_MPP is read as it is: resampling by 2 % costs more sharpness
# than the difference in size, which is far inside the scale jitter of training.
WIDTHS = (
    32,
    32,
    64,
    64,
    128,
    128,
)  # Stem and five blocks; the text gives no widths. 0.7 M parameters: fast on a CPU.
OUTPUT_STRIDE = 8  # The only stride for which 512-pixel windows overlapping by 120 px tile the map without a gap or a
# double: (512 - 128) / 8 + 1 = 49 cells, and 49 * 8 = 392 = 512 - 120.
INPUT_MEAN, INPUT_SCALE = 128.0, 64.0  # RGB in 0..255 becomes about -2..2, whatever the stain.
HEAD_DEVIATION = 0.01  # Of the classifier's first weights: with Kaiming's a 5 x 5 x 128 one starts with logits of tens.
WARM_UP_SHARE = 0.02  # Of a course whose rate falls by cosine, in which it rises: Adam's first steps are blind.
BG_MIN_DISTANCE = 40  # px between a BG-Rand patch and every mitosis and chosen background patch: more than the 30 px
# within which a detection counts as right, less than half a patch so that the surroundings of mitoses are learnt.
BG_RAND_PER_HPF = 400  # As many as uniform sampling places at BG_MIN_DISTANCE in a frame before most draws are refused.
BG_RAND_DRAWS = 20  # Draws for each patch of BG-Rand, after which a frame counts as full.
CONTEXT_PER_PATCH = 2  # Places beside the mitosis of a single patch that are background: there is room for few.
FRAME_SIZE = 2048  # px a side, about an HPF: what a slide that is known to hold no mitosis is cut into.
FRAME_TISSUE = 0.5  # Least share of tissue of such a frame; of glass there is enough in labelled ones.
BG_HARD_MIN_SCORE = 0.3  # A false positive a little below the decision threshold teaches as much as one above it.
CONTRAST_TRANSFER_PROBABILITY = 0.5  # Half of the patches keep their own stain.
SOURCE_FULL = 400  # Mitoses of a source above which it is drawn no more often: thousands of single patches would leave
# little of a batch to the sources that have whole frames (docs/training.md).
JITTER_PIXELS = 4.0  # Shift of a patch, less than one cell of the map: the position of a mitosis stays learnable.
JITTER_SCALE = 0.1  # Scanners differ by up to 10 % in um/px around 0.25.
JITTER_COLOUR = 0.08  # Brightness and contrast of a patch, as a share of the range.
STAIN_VECTORS = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))  # Optical density of R, G and B of
# haematoxylin, eosin and what is left (Ruifrok and Johnston 2001).
STAIN_OFFSET = 0.25  # Of the share by which plans vary a stain: in units of optical density, where eosin has about 0.3.
SHARPENING = (0.2, 1.0)  # Of the difference to a blurred patch, in plans that sharpen: from a trace to a plain halo.
SHARPENING_DEVIATION = 1.0  # px; the width of that halo.
BLUR_DEVIATION = (0.3, 1.2)  # px; from what nobody sees to a scanner a little out of focus, in plans that blur.
JPEG_QUALITY = (50, 95)  # From what scanners rarely go below to what can hardly be seen, in plans that compress.
PEAK_FLOOR = 0.1  # Score of a map cell from which it can be the peak of a figure. Of 159 figures at 0.5 on slides not
# learnt from, none had a lower peak; at 0.2 two.
FIGURE_CELLS = 3  # A side of the square of map cells around a peak whose logits are averaged: a mitosis is seen from
# all of them, a look-alike often from one (docs/training.md).
FIGURE_FIRST_LOOK = 0.1  # Score as it is turned on the slide, below which a peak is not turned: an eighth of the work.
FIGURE_SHIFT = 2.0  # A figure's mean logit lies about that much below its peak, which was its score up to 0.2.0.
FIGURE_PER_CELLS = 1000  # Map cells for each peak that is turned, 250 a mm2: a tumour has fewer, and a network that
# sees something everywhere would take hours for a frame.
FIGURES_LEAST = 20  # Peaks that are turned in any case, also of a small image.
FRAME_EDGE = 8  # px from the border of a frame within which nothing counts: most of what is found there is half a
# nucleus and its mirror image, which looks like a metaphase plate, and labels leave it out (MITOS 2012: 1 of 226 within
# 32 px).
FIGURE_SCALES = (0.3, 1.5)  # Between which calibration looks for the steepness of the scores.
RELIABILITY_BINS = (0.2, 0.35, 0.5, 0.65, 0.8, 1.0)  # Scores between which the share of mitoses is counted for a card.
STORED_SCORE_FLOOR = 0.2  # Candidates below 0.5 are kept down to here, so that a reader can lower the threshold.
GLASS_BRIGHTNESS = 0.9  # 3.2 skips windows brighter than "a fixed threshold", which is another on every scanner: here
# of the slide's own glass. And only if every block of GLASS_BLOCK pixels is, so that one cell at its rim is looked at.
GLASS_BLOCK = 32
GLASS_STAIN = 0.02  # Optical density of green beyond red or blue: with more, a block is stained, however bright.
GLASS_DOUBT = 0.025, 0.01  # So near to these limits a small picture of the slide leaves a doubt, and pixels decide.
RECTANGLE_WINDOWS = 5  # A side of at most 2,080 px is scored in one go; larger ones are not faster, and need memory.
REFINE_RADIUS = 16  # px around a peak whose cells, weighted by score, place the detection between the stride-8 cells.
LOWEST_THRESHOLD = 0.05  # The precision-recall curve begins here: no maximum of F1 was seen near it.
CALIBRATED_F1 = 0.98  # Of the best F1. The thresholds with at least this much form a plateau, whose middle is moved to
# 0.5; the best one alone jumps with each frame.
SCANNER_FIGURES = 30  # Judged figures from which the shift of a scanner may be found: with fewer, one verdict moves it.
STAIN_PERCENTILES = (1.0, 99.0)  # Of the LAB statistics of a source's frames: the range of its stain without the frames
# that went wrong. By source, so that thousands of patches do not hide a source of thirty frames.
STAIN_MARGIN = 8.0  # Grey levels of LAB by which a slide may leave that range: on the range of MITOS 2012, none of its
# frames then lies outside, and 59 of 60 of the other scanner and all of MiDeSeC do. The jitter of colour moves more.
STAIN_REGION, STAIN_REGIONS = 512, 24  # px a side, and how many at most, of the places of a slide that stand for its
# stain: a window, and enough that one fold or clot does not move their median.
STAIN_TISSUE = 0.95  # Least share of tissue of such a place, where there is one: glass would brighten it.
FG_LAB_PER_FG_WSI = (1, 1)  # "sampled from FG-Lab and FG-WSI sets with a fixed ratio": as many of each.
BOOTSTRAP_DRAWS = 1000  # The ends of a 95 % interval then rest on 25 draws each.
FEWEST_CASES = 5  # Of a judgement. With fewer, all may agree by chance: of four fair coins, all fall alike in one of
# eight.
ATYPICAL_THRESHOLD = 0.5  # Trained on as many atypical as normal mitoses, this is where both are missed alike.
ATYPICAL_FIGURES = 30  # Mitoses whose kind is known, from which a retraining learns it: as for the shift of a scanner.
ATYPICAL_FEWEST = 5  # Of them at least so many of each kind.
ATYPICAL_LEAST = 0.7  # Balanced accuracy on slides not learnt from, below which nothing is said of it.
MINING_FIRST_LOOK = 0.5  # "if the maximum score in a window is below a threshold for the first transformation": the
# threshold of 3.1, as what is no detection is no sample either.
MINING_AGREEMENT = 0.8  # Least score under each of the eight flips and rotations: "very few false positives".
MINED_PATCH = 192  # px of a stored patch: 128 px turned by any angle, and shifted, lie inside.
MINED_STAIN = 1024  # px around a sample that stand for its HPF in contrast transfer: about half of one.
COARSE_SUSPECT = 0.03  # Score of the fine network from which the coarse one learns from a place as from a mitosis.
COARSE_RAISED = 2.0  # Added to the logits that the coarse network learns: a score of 0.12 is an even chance to it.
COARSE_MISSED = (
    0.1  # Share of what the fine network finds that counts as hardly pointed at: the worst of it decides how
)
# much else is looked at.
COARSE_TISSUE = 0.1  # Least share of tissue of a frame that it learns from: the rims are looked at as well.
COARSE_LOOKS = 3  # Times that a batch is learnt from: asking the fine network takes twice as long as learning.
COARSE_MARGIN = 0.25  # Of its logit, by which it looks closer than the frames that it was set on would need.


def um(pixels: float) -> float:
    """A length of the paper, px of the working resolution, in um: its radii hold at any resolution."""
    return pixels * WORKING_MPP
