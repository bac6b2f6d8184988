"""DICOM JSON (PS3.18 annex F), the UIDs that it holds, and which elements name nobody."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag

from webapp.core.names import plain_name

Json = dict[str, Any]  # of a data set: tag, as eight hexadecimal digits, to {"vr", "Value"}

SLIDE_IMAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"  # VL Whole Slide Microscopy Image Storage
ANNOTATIONS = "1.2.840.10008.5.1.4.1.1.91.1"  # Microscopy Bulk Simple Annotations Storage
_UID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")

OF_SERIES = (0x00080060, 0x00200011)  # modality, number
OF_INSTANCE = (
    0x00080008, 0x00080016, 0x00080018, 0x00200013, 0x00280008, 0x00280010, 0x00280011, 0x00280100, 0x00280301,
    0x00480006, 0x00480007, 0x00480010,
)  # fmt: skip
_NUMBERS = {"IS", "US", "UL"}
# What describes pixels and where they lie. Names, dates, numbers of patients, cases and specimens, texts that somebody
# has typed and private elements are not among them.
_NAMELESS_GROUPS = {0x0028, 0x0048, 0x5200}
_NAMELESS = {
    0x00080005, 0x00080008, 0x00080016, 0x00080018, 0x00080060, 0x00080070, 0x00081090, 0x00180050, 0x0020000D,
    0x0020000E, 0x00200011, 0x00200013, 0x00200052, 0x00201040, 0x00209161, 0x00209162, 0x00209163, 0x00209164,
    0x00209165, 0x00209167, 0x00209221, 0x00209222, 0x00209228, 0x00209311, 0x0040072A, 0x0040073A, 0x0040074A,
}  # fmt: skip
_OF_CODES = {0x00080100, 0x00080102, 0x00080103, 0x00080104}
_TEXTS = {0x00080070, 0x00081090, 0x00480106, *_OF_CODES}  # of makers and codes, which nobody types
_TYPED = {"LO", "LT", "PN", "SH", "ST", "UC", "UN", "UR", "UT"}  # of all others
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{0,16}")


def is_uid(text: str) -> bool:
    """Whether it is a UID as PS3.5 has them, and so harmless as the name of a file."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def element(vr: str, *values: object) -> Json:
    """An element with these values, of which empty ones are left out."""
    there = [value for value in values if value not in (None, "")]
    return {"vr": vr, "Value": there} if there else {"vr": vr}


def facts_of(data: Dataset, tags: tuple[int, ...]) -> Json:
    """These elements as DICOM JSON. Raises ValueError or what pydicom raises for a value that is none."""
    found: Json = {}
    for tag in tags:
        if tag not in data:
            continue
        vr, value = dictionary_VR(tag), data[tag].value
        values = list(value) if isinstance(value, MultiValue | list) else [value]
        if vr in _NUMBERS:
            found[f"{tag:08X}"] = element(vr, *(_whole(one) for one in values if one not in (None, "")))
        else:
            texts = [plain_name(str(one)) for one in values if one is not None]
            fitting = is_uid if vr == "UI" else _CODE_STRING.fullmatch
            found[f"{tag:08X}"] = element(vr, *(text for text in texts if fitting(text)))
    return found


def nameless_json(data: Dataset) -> Json:
    """The elements that say of the picture what it is, and of the patient nothing. What is damaged is left out."""
    found: Json = {}
    for tag in list(data.keys()):
        if not _names_nobody(tag, inside=False):
            continue
        with contextlib.suppress(Exception):  # there is no end of what a damaged value raises
            if data[tag].VR == "SQ":
                said: Json = {"vr": "SQ", "Value": [_inside(item) for item in data[tag].value]}
            elif data[tag].VR in _TYPED and tag not in _TEXTS:
                continue
            else:
                said = data[tag].to_json_dict(None, 1 << 30)
            json.dumps(said, allow_nan=False)
            found[f"{tag:08X}"] = said
    return found


def _inside(item: Dataset) -> Json:
    for tag in list(item.keys()):
        if not _names_nobody(tag, inside=True) or (item[tag].VR in _TYPED and tag not in _TEXTS):
            del item[tag]
        elif item[tag].VR == "SQ":
            for one in item[tag].value:
                _inside(one)
    found: Json = item.to_json_dict()
    return found


def _names_nobody(tag: BaseTag, *, inside: bool) -> bool:
    return tag in _NAMELESS or tag.group in _NAMELESS_GROUPS or (inside and tag in _OF_CODES)


def _whole(value: object) -> int:
    number = float(str(value))
    if not number.is_integer() or abs(number) >= 1 << 32:
        raise ValueError(f"{value} is no whole number")
    return int(number)
