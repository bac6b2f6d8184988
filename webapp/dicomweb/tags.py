"""DICOM JSON (PS3.18 annex F), the UIDs that it holds, and which elements name nobody."""

from __future__ import annotations

import re
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from webapp.core.names import plain_name

Json = dict[str, Any]  # of a data set: tag, as eight hexadecimal digits, to {"vr", "Value"}

SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
ANNOTATIONS = "1.2.840.10008.5.1.4.1.1.91.1"  # Microscopy Bulk Simple Annotations Storage
_UID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")

OF_SERIES = (0x00080060, 0x00200011)  # modality, number
OF_INSTANCE = (
    0x00080008, 0x00080016, 0x00080018, 0x00200013, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00480006,
    0x00480007,
)  # fmt: skip
# What describes pixels and where they lie. Names, dates, numbers of patients, cases and specimens, texts that somebody
# has typed and private elements are not among them.
_NAMELESS_GROUPS = {0x0028, 0x0048, 0x5200}
_NAMELESS = {
    0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x00080070, 0x00081090, 0x00180050, 0x0020000D,
    0x0020000E, 0x00200011, 0x00200013, 0x00200052, 0x00201040, 0x00209161, 0x00209162, 0x00209163, 0x00209164,
    0x00209165, 0x00209167, 0x00209221, 0x00209222, 0x00209228, 0x00209311, 0x0040072A, 0x0040073A, 0x0040074A,
}  # fmt: skip
_OF_CODES = {0x00080100, 0x00080102, 0x00080103, 0x00080104}


def is_uid(text: str) -> bool:
    """Whether it is a UID as PS3.5 has them, and so harmless as the name of a file."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def element(vr: str, *values: object) -> Json:
    """An element with these values, of which empty ones are left out."""
    there = [value for value in values if value not in (None, "")]
    return {"vr": vr, "Value": there} if there else {"vr": vr}


def facts_of(data: Dataset, tags: tuple[int, ...]) -> Json:
    """These elements as DICOM JSON; texts without what the database refuses."""
    found: Json = {}
    for tag in tags:
        if tag in data:
            value = data[tag].to_json_dict(None, 1 << 16)
            texts = [plain_name(one)[:64] if isinstance(one, str) else one for one in value.get("Value", [])]
            found[f"{tag:08X}"] = element(value["vr"], *texts)
    return found


def nameless(data: Dataset) -> Dataset:
    """The elements that say of the picture what it is, and of the patient nothing."""
    kept = Dataset()
    for tag in list(data.keys()):
        if not _names_nobody(tag, inside=False):
            continue
        kept[tag] = data[tag]
        if kept[tag].VR == "SQ":
            kept[tag].value = [_inside(item) for item in kept[tag].value]
    return kept


def _inside(item: Dataset) -> Dataset:
    for tag in list(item.keys()):
        if not _names_nobody(tag, inside=True):
            del item[tag]
        elif item[tag].VR == "SQ":
            item[tag].value = [_inside(one) for one in item[tag].value]
    return item


def _names_nobody(tag: BaseTag, *, inside: bool) -> bool:
    return tag in _NAMELESS or tag.group in _NAMELESS_GROUPS or (inside and tag in _OF_CODES)
