"""H&E-like overviews of slides whose tissue is known, drawn to test what tells tissue from glass.

In the truth, lumina under 5 px and the fat cells of a lobule are tissue; holes over 25 px and cracks are glass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from tests.tissue_drawing import (
    BLOOD,
    DARK,
    GLASS,
    HAEMATOXYLIN,
    HEIGHT,
    MELANIN,
    WIDTH,
    Colour,
    Ellipse,
    Mask,
    TissuePicture,
    coverslip_edge,
    density_of,
    draw_sections,
    draw_specks,
    fill_ellipse,
    grains_in,
    grid,
    grown_by,
    ink_density,
    lit_picture,
    seeded_rng,
    smooth_noise,
    stain_density,
    whole_px,
    without_holes,
    without_small,
)

_LAYOUTS: list[list[Ellipse]] = [
    [(500, 390, 330, 240)],
    [(290, 380, 190, 260), (740, 400, 180, 240)],
    [(230, 300, 150, 190), (600, 420, 190, 180), (880, 250, 90, 130)],
    [(420, 330, 290, 200), (780, 590, 120, 80)],
]


def _on_glass(name: str, glass: Colour, layout: int) -> TissuePicture:
    """Ordinary sections on glass of some colour."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, _LAYOUTS[layout % len(_LAYOUTS)])
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), glass=glass)


def _gradient(name: str) -> TissuePicture:
    """Brightness falls from 245 at the left to 215 at the right."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, _LAYOUTS[1])
    light = np.linspace(1, 215 / 245, WIDTH, dtype=np.float32)[None].repeat(HEIGHT, axis=0)
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), light=light, tolerance=0.10)


def _vignetting(name: str) -> TissuePicture:
    """Brightness falls by 14 % from the centre to the corners."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, _LAYOUTS[2])
    x, y = grid()
    squared = ((x - WIDTH / 2) ** 2 + (y - HEIGHT / 2) ** 2) / (WIDTH**2 + HEIGHT**2) * 4
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), light=1 - 0.14 * squared, tolerance=0.10)


def _noisy(name: str) -> TissuePicture:
    """Sensor noise of 4 grey levels."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, _LAYOUTS[3])
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), sensor=4)


def _thick(name: str) -> TissuePicture:
    """A thick section, which lets little light through."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, _LAYOUTS[0])
    return lit_picture(name, rng, tissue, stain_density(rng, tissue, DARK, texture=0.6))


def _faint(name: str) -> TissuePicture:
    """Hardly stained: about 10 grey levels from the glass in green, less in red and blue."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, _LAYOUTS[1])
    density = stain_density(rng, tissue, (244, 235, 241), nuclei=0.03, texture=0.5)
    return lit_picture(name, rng, tissue, density, glass=(246, 244, 246))


def _fat(name: str) -> TissuePicture:
    """Two lobules of fat cells 12 px across, empty but for their membranes, one of them beside stroma."""
    rng = seeded_rng(name)
    stroma = draw_sections(rng, [(300, 380, 190, 250)])
    lobules = draw_sections(rng, [(520, 370, 200, 210), (850, 500, 95, 140)], holes=0) & ~stroma
    seeds = np.ones((HEIGHT, WIDTH), np.uint8)
    for row, y in enumerate(np.arange(4, HEIGHT - 3, 10.5)):
        for x in np.arange(4 + 6 * (row % 2), WIDTH - 3, 12):
            dx, dy = rng.uniform(-2.6, 2.6, 2)
            seeds[int(y + dy), int(x + dx)] = 0
    _, cell = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = np.zeros(int(cell.max()) + 1, bool)
    inside[cell[(seeds == 0) & lobules]] = True
    fat: Mask = inside[cell] & ~stroma  # whole cells only
    membrane = np.zeros_like(fat)
    for axis in (0, 1):
        membrane |= (cell != np.roll(cell, 1, axis)) & (fat | np.roll(fat, 1, axis))
    thickness = 0.035 * np.clip(smooth_noise(rng, 60), 0, 1.5)
    septa = fat & (np.abs(smooth_noise(rng, 130)) < thickness)  # thin stroma that comes and goes
    stained = stroma | ((membrane | septa) & grown_by(fat, 1))
    density = stain_density(rng, stained, lumina=0, nuclei=0.7)
    density[~stroma] *= 0.8
    tissue = ~without_small(~(stroma | fat), 500)  # cells that stroma cuts leave small gaps: no glass
    return lit_picture(name, rng, tissue, density)


def _microarray(name: str) -> TissuePicture:
    """5 x 7 cores of 60 px, each stained a little differently."""
    rng = seeded_rng(name)
    x, y = grid()
    edge = 1.3 * smooth_noise(rng, 14)
    tissue = np.zeros((HEIGHT, WIDTH), bool)
    strength = np.ones((HEIGHT, WIDTH), np.float32)
    for row in range(5):
        for column in range(7):
            dx, dy = rng.normal(0, 3, 2)
            core = np.hypot(x - 158 - 118 * column - dx, y - 148 - 118 * row - dy) + edge < rng.uniform(28.5, 31.5)
            tissue |= core
            strength[core] = rng.uniform(0.6, 1.35)
    return lit_picture(name, rng, tissue, stain_density(rng, tissue, nuclei=1.4) * strength[..., None])


def _biopsies(name: str) -> TissuePicture:
    """Wavy needle cores 12 to 20 px wide, some in pieces, and crumbs."""
    rng = seeded_rng(name)
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    cores = [(110, 190, 700), (180, 330, 330), (570, 350, 330), (140, 500, 560), (300, 640, 230)]
    for start_x, start_y, length in cores:
        phase, bend = rng.uniform(0, 6.28), rng.uniform(12, 30)
        width = rng.uniform(13, 18)
        gap = rng.uniform(0.4, 0.7)
        for along in np.arange(0, length, 1.5):
            if abs(along / length - gap) * length < 9:
                continue
            y = start_y + bend * np.sin(phase + along / 130) + 0.05 * along
            across = width + 2 * np.sin(phase + along / 23)
            fill_ellipse(canvas, (start_x + along, y, across / 2, across / 2))
    for _ in range(7):
        radius = rng.uniform(6, 9)
        fill_ellipse(canvas, (rng.uniform(80, WIDTH - 80), rng.uniform(60, 120), radius, radius * rng.uniform(1, 1.4)))
    tissue = canvas > 0
    return lit_picture(name, rng, tissue, stain_density(rng, tissue, nuclei=1.3))


def _frozen(name: str) -> TissuePicture:
    """Washed-out colours, torn by cracks and holes, pitted by ice."""
    rng = seeded_rng(name)
    whole = draw_sections(rng, [(510, 390, 360, 270)], holes=9)
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(11):
        x, y, turn = rng.uniform(220, 800), rng.uniform(170, 610), rng.uniform(0, 6.28)
        points = [(x, y)]
        for _ in range(int(rng.integers(7, 14))):
            turn += rng.normal(0, 0.45)
            x, y = x + 20 * np.cos(turn), y + 20 * np.sin(turn)
            points.append((x, y))
        for place, (one, other) in enumerate(itertools.pairwise(points)):
            taper = 1 - abs(2 * place / len(points) - 1)
            cv2.line(canvas, whole_px(one), whole_px(other), 1, int(6 + 8 * taper))
    tissue = without_small(whole & (canvas == 0), 200)
    density = stain_density(rng, tissue, (216, 176, 204), nuclei=0.45, lumina=5, texture=1.3)
    return lit_picture(name, rng, tissue, density, glass=(240, 238, 241))


def _black_gaps(name: str) -> TissuePicture:
    """The scanner went only where it saw tissue: the rest is black."""
    return _partly_scanned(name, GLASS, (0, 0, 0), _LAYOUTS[2])


def _grey_unscanned(name: str) -> TissuePicture:
    """The rest is one grey, darker than glass."""
    return _partly_scanned(name, GLASS, (200, 200, 200), _LAYOUTS[1])


def _white_unscanned(name: str) -> TissuePicture:
    """The rest is one white, brighter than glass."""
    return _partly_scanned(name, (235, 235, 235), (255, 255, 255), _LAYOUTS[3])


def _white_on_tinted(name: str) -> TissuePicture:
    """The same beside glass that is not white: by that white, glass has the colour of faint tissue."""
    return _partly_scanned(name, (223, 215, 213), (255, 255, 255), _LAYOUTS[3])


def _grey_on_yellow(name: str) -> TissuePicture:
    """A grey that is no darker than yellowish glass, and has less yellow."""
    return _partly_scanned(name, (242, 236, 226), (228, 228, 228), _LAYOUTS[1])


def _partly_scanned(name: str, glass: Colour, unscanned: Colour, layout: Sequence[Ellipse]) -> TissuePicture:
    """Fields of 60 x 46 px near tissue are scanned; two fields with tissue are missed, and are not tissue."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, layout)
    scanned = np.zeros((HEIGHT, WIDTH), bool)
    missed = 0
    near = grown_by(tissue, 24)
    for y in range(0, HEIGHT, 46):
        for x in range(0, WIDTH, 60):
            field = np.s_[y : y + 46, x : x + 60]
            share = float(tissue[field].mean())
            miss = missed < 2 and 0.2 < share < 0.8 and rng.random() < 0.15
            missed += miss
            scanned[field] = near[field].any() and not miss
    density = stain_density(rng, tissue)
    return lit_picture(name, rng, tissue & scanned, density, glass=glass, holder=(~scanned, unscanned))


def _pen_marks(name: str) -> TissuePicture:
    """A blue ring around the tissue, green strokes and black letters, all on glass."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, [(400, 400, 200, 190)])
    ring = np.zeros((HEIGHT, WIDTH), np.uint8)
    outline, _ = cv2.findContours(
        (cv2.GaussianBlur(grown_by(tissue, 45).astype(np.float32), (0, 0), 14) > 0.5).astype(np.uint8),
        cv2.RETR_EXTERNAL,
        cv2.CHAIN_APPROX_NONE,
    )
    path = max(outline, key=len)
    cv2.polylines(ring, [path[: int(0.93 * len(path))]], False, 1, 13)
    strokes = np.zeros_like(ring)
    for y in (120, 175):
        wave = [(x, y + 9 * np.sin(x / 40 + y)) for x in range(780, 960, 8)]
        cv2.polylines(strokes, [np.array(wave, np.int32)], False, 1, 16)
    cv2.circle(strokes, (850, 330), 9, 1, -1)
    letters = np.zeros_like(ring)
    cv2.putText(letters, "B3", (790, 560), cv2.FONT_HERSHEY_SIMPLEX, 3.4, 1, 12)
    cv2.line(letters, (770, 610), (975, 596), 1, 10)
    marks = (
        ink_density(rng, ring, (42, 74, 172))
        * ink_density(rng, strokes, (38, 128, 84))
        * ink_density(rng, letters, (34, 32, 38))
    )
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), marks=marks)


def _coverslip(name: str) -> TissuePicture:
    """The coverslip ends right of the tissue in a dark line; beyond it, glass is 13 grey levels darker."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, [(400, 380, 270, 240)])
    x, y = grid()
    marks = coverslip_edge(x - 790 - 0.06 * y, (230 / 243, 230 / 243, 230 / 243))
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), marks=marks)


def _beyond_coverslip(name: str) -> TissuePicture:
    """Beyond the coverslip, at the top, the glass is pinkish; a fragment of tissue lies there."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, [(480, 470, 290, 200), (800, 70, 60, 35)])
    x, y = grid()
    marks = coverslip_edge(150 + 0.02 * x - y, (236 / 245, 222 / 243, 232 / 245))
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), marks=marks)


def _bubbles(name: str) -> TissuePicture:
    """Thin grey circles, most of them on glass."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, [(390, 380, 240, 230)])
    marks = np.ones((HEIGHT, WIDTH), np.float32)
    x, y = grid()
    places = [(800, 190, 110), (880, 520, 62), (740, 640, 40), (950, 330, 24), (150, 110, 55), (560, 580, 70)]
    places += [(int(cx), int(cy), int(r)) for cx, cy, r in rng.uniform((660, 40, 7), (1000, 740, 16), (9, 3))]
    for cx, cy, radius in places:
        rim = np.hypot(x - cx, (y - cy) * rng.uniform(0.96, 1.04)) - radius
        marks *= 1 - rng.uniform(0.3, 0.5) * np.exp(-((rim / 1.1) ** 2) / 2)
        marks *= 1 - 0.04 * np.exp(-(((rim + 4) / 2.5) ** 2) / 2)  # the soft shadow inside
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), marks=marks[..., None].repeat(3, axis=2))


def _dust(name: str) -> TissuePicture:
    """Dark specks, fibres and specks out of focus, on glass."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, _LAYOUTS[1])
    marks = draw_specks(rng, 140, fibres=9)
    marks[grown_by(tissue, 3)] = 1
    return lit_picture(name, rng, tissue, stain_density(rng, tissue), marks=marks)


def _almost_only_tissue(name: str) -> TissuePicture:
    """Glass in one corner, 5 % of the picture."""
    rng = seeded_rng(name)
    x, y = grid()
    distance = np.hypot(WIDTH - x, HEIGHT - y) + 22 * smooth_noise(rng, 60) + 5 * smooth_noise(rng, 14)
    tissue = without_holes(distance > np.quantile(distance, 0.05), 200)
    return lit_picture(name, rng, tissue, stain_density(rng, tissue))


def _no_tissue(name: str) -> TissuePicture:
    """Glass, and a few specks of dust on it."""
    rng = seeded_rng(name)
    nothing = np.zeros((HEIGHT, WIDTH), bool)
    return lit_picture(name, rng, nothing, np.zeros((HEIGHT, WIDTH, 3), np.float32), marks=draw_specks(rng, 12))


def _only_tissue(name: str) -> TissuePicture:
    """Tissue from edge to edge."""
    rng = seeded_rng(name)
    tissue = np.ones((HEIGHT, WIDTH), bool)
    return lit_picture(name, rng, tissue, stain_density(rng, tissue))


def _blood(name: str) -> TissuePicture:
    """A section with wide bleedings, and a clot of its own."""
    rng = seeded_rng(name)
    clot = draw_sections(rng, [(840, 470, 100, 130)], holes=0)
    tissue = draw_sections(rng, [(400, 380, 270, 240)]) | clot
    bled = tissue & ((smooth_noise(rng, 90) + 0.2 * smooth_noise(rng, 12) > 0.5) | clot)
    density = stain_density(rng, tissue)
    density[bled] = stain_density(rng, bled, BLOOD, nuclei=0.1, lumina=0.3, texture=0.7)[bled]
    return lit_picture(name, rng, tissue, density)


def _lymph_node(name: str) -> TissuePicture:
    """Blue-purple throughout, with denser follicles, paler sinuses and a pink capsule."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, [(500, 390, 300, 230)], holes=1)
    density = stain_density(rng, tissue, (170, 134, 196), nuclei=3.0, lumina=0.3)
    shown = density.any(axis=2) & (grown_by(~tissue, 9) == 0)
    lymphocytes = (
        0.42
        + 0.14 * np.clip(smooth_noise(rng, 34), -1.5, 2)
        - 0.3 * np.clip(1 - np.abs(smooth_noise(rng, 40)) * 4, 0, 1)
    )
    density += (np.clip(lymphocytes, 0, None) * shown)[..., None] * density_of(HAEMATOXYLIN)
    return lit_picture(name, rng, tissue, density)


def _melanin(name: str) -> TissuePicture:
    """Brown pigment in spots and patches inside the tissue."""
    rng = seeded_rng(name)
    tissue = draw_sections(rng, _LAYOUTS[3])
    density = stain_density(rng, tissue)
    shown = density.any(axis=2)
    patches = np.clip(2 * (smooth_noise(rng, 30) + 0.4 * smooth_noise(rng, 8) - 1.2), 0, 1)
    grains = grains_in(rng, 0.004 + 0.1 * patches) * 1.2
    density += ((0.3 * patches + grains) * shown)[..., None] * density_of(MELANIN)
    return lit_picture(name, rng, tissue, density)


_GLASSES: dict[str, Colour] = {
    "white glass": GLASS,
    "pure white glass": (255, 255, 255),
    "grey glass 229": (229, 229, 229),
    "grey glass 205": (205, 205, 205),
    "tinted glass": (223, 215, 213),
    "yellow glass": (240, 235, 220),
    "bluish glass": (225, 230, 240),
    "pinkish glass": (238, 228, 236),
}
_KINDS: dict[str, Callable[[str], TissuePicture]] = {
    "brightness gradient": _gradient,
    "vignetting": _vignetting,
    "noisy sensor": _noisy,
    "thick dark section": _thick,
    "faint tissue": _faint,
    "fat": _fat,
    "tissue microarray": _microarray,
    "needle biopsies": _biopsies,
    "frozen section": _frozen,
    "black scan gaps": _black_gaps,
    "grey unscanned areas": _grey_unscanned,
    "white unscanned areas": _white_unscanned,
    "white unscanned areas, tinted glass": _white_on_tinted,
    "grey unscanned areas, yellowish glass": _grey_on_yellow,
    "pen marks": _pen_marks,
    "coverslip edge": _coverslip,
    "glass of another colour beyond the coverslip": _beyond_coverslip,
    "air bubbles": _bubbles,
    "dust": _dust,
    "almost only tissue": _almost_only_tissue,
    "no tissue": _no_tissue,
    "only tissue": _only_tissue,
    "blood": _blood,
    "lymph node": _lymph_node,
    "melanin": _melanin,
}
TISSUE_PICTURES = (*_GLASSES, *_KINDS)


def tissue_picture(name: str) -> TissuePicture:
    """The picture of this name, of `TISSUE_PICTURES`; the same at every call."""
    if name in _GLASSES:
        return _on_glass(name, _GLASSES[name], list(_GLASSES).index(name))
    return _KINDS[name](name)
