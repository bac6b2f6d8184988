"""A signed report as a FHIR R4 DiagnosticReport (https://hl7.org/fhir/R4/diagnosticreport.html), for other systems.

One resource: its observations, the slides and the detector are contained. Units are UCUM. The score of a Nottingham
rule has its LOINC code, 85300-2; for the other numbers LOINC has none that says the same, so they are named by text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from webapp.reports.models import Report

CONTENT_TYPE = "application/fhir+json"
_UCUM, _LOINC = "http://unitsofmeasure.org", "http://loinc.org"
_NOTTINGHAM = {
    "system": _LOINC,
    "code": "85300-2",
    "display": "Mitotic rate [Score] in Breast cancer specimen Qualitative by Nottingham",
}
_PATHOLOGY = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "SP", "display": "Surgical Pathology"}
_STUDY = {"system": _LOINC, "code": "11529-5", "display": "Surgical pathology study"}
_LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category"

_Resource = dict[str, Any]


def diagnostic_report(report: Report, *, pdf_url: str, newest: int) -> _Resource:
    """The report as parsed JSON.

    It is final where every candidate of each hotspot has been judged, else preliminary. newest: the last version of the
    report; an older one says by which it is replaced. Raises KeyError for a tombstone, which has no facts to tell.
    """
    facts = report.facts
    parts = [facts, *facts.get("others", ())]
    contained: list[_Resource] = [_device(facts)]
    results: list[_Resource] = []
    for number, part in enumerate(parts, start=1):
        contained.append(_specimen(part, number))
        made = _observations(part, number, _context(report, part, number))
        contained += made
        results += made
    conclusion = [facts.get("comment", "")]
    if report.version < newest:
        conclusion.append(f"Replaced by version {newest}.")
    said = {
        "resourceType": "DiagnosticReport",
        "id": str(report.pk),
        "contained": contained,
        "identifier": [
            {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{report.pk}"},
            {"type": {"text": "SHA-256 of the signed facts"}, "value": report.sha256},
        ],
        "status": "final" if all(_reviewed(part) for part in parts) else "preliminary",
        "category": [{"coding": [_PATHOLOGY]}],
        "code": {"coding": [_STUDY], "text": "Mitotic count"},
        "subject": _subject(facts),
        "effectiveDateTime": facts["count"]["detected_at"],
        "issued": facts["signed_at"],
        "performer": [_reader(facts)],
        "specimen": [{"reference": f"#slide-{number}"} for number in range(1, len(parts) + 1)],
        "result": [{"reference": f"#{one['id']}"} for one in results],
        "conclusion": " ".join(filter(None, conclusion)),
        "presentedForm": [
            {"contentType": "application/pdf", "url": pdf_url, "title": f"Report, version {report.version}"}
        ],
    }
    return {name: value for name, value in said.items() if value}


def _observations(part: Mapping[str, Any], number: int, context: _Resource) -> list[_Resource]:
    """Count, density and area of the hotspot and of all that is evaluable, and the score; what there is of them."""
    count, hotspot, score = part["count"], part["count"]["hotspot"], part["count"]["score"]
    where = "in the evaluable area"
    made = [
        _measured("count", f"Mitotic figures {where}", count["count"], "{figures}", "figures"),
        _measured("density", f"Mitotic figures per mm² {where}", count["count_per_mm2"], "/mm2", "per mm²"),
        _measured("area", "Evaluable area", count["tissue_mm2"], "mm2", "mm²"),
    ]
    if hotspot:
        area = hotspot.get("evaluable_mm2") or hotspot["area_mm2"]
        made += [
            _measured("hotspot-count", "Mitotic figures in the hotspot", hotspot["count"], "{figures}", "figures"),
            _measured(
                "hotspot-density", "Mitotic figures per mm² in the hotspot", hotspot["count_per_mm2"], "/mm2", "per mm²"
            ),
            _measured("hotspot-area", "Evaluable area of the hotspot", area, "mm2", "mm²"),
        ]
    if score:
        coding = {"coding": [_NOTTINGHAM]} if score["rule"]["id"].startswith("nottingham") else {}
        text = f"Mitotic score by the rule {score['rule']['name']}"
        value = {"valueInteger": score["value"]}
        made.append({"id": "score", "code": {**coding, "text": text}, **value, **_note(_small(score))})
    return [{**context, **one, "id": f"{one['id']}-{number}"} for one in made if one]


def _measured(key: str, text: str, value: float | None, code: str, unit: str) -> _Resource:
    if value is None:
        return {}
    quantity = {"value": value, "unit": unit, "system": _UCUM, "code": code}
    return {"id": key, "code": {"text": text}, "valueQuantity": quantity}


def _context(report: Report, part: Mapping[str, Any], number: int) -> _Resource:
    """What all observations of a slide have in common."""
    count = part["count"]
    return {
        "resourceType": "Observation",
        "status": "final" if _reviewed(part) else "preliminary",
        "category": [{"coding": [{"system": _LABORATORY, "code": "laboratory"}]}],
        "subject": _subject(part),
        "effectiveDateTime": count["detected_at"],
        "issued": report.facts["signed_at"],
        "performer": [_reader(report.facts)],
        "specimen": {"reference": f"#slide-{number}"},
        "device": {"reference": "#detector"},
        **_note("" if count["reviewed"] else "By the detector alone: nobody has judged its figures."),
    }


def _note(text: str) -> _Resource:
    return {"note": [{"text": text}]} if text else {}


def _small(score: Mapping[str, Any]) -> str:
    area = score["rule"]["area_mm2"]
    return f"Small sample: less than {area:.3g} mm² was evaluable." if score.get("small_sample") else ""


def _reviewed(part: Mapping[str, Any]) -> bool:
    return bool((part["count"].get("review") or {}).get("state") == "reviewed")


def _subject(part: Mapping[str, Any]) -> _Resource:
    return {"type": "Patient", "identifier": {"value": part["slide"]["case"]}}


def _reader(facts: Mapping[str, Any]) -> _Resource:
    return {"type": "Practitioner", "display": facts["reader"]["name"] or facts["reader"]["username"]}


def _specimen(part: Mapping[str, Any], number: int) -> _Resource:
    slide = part["slide"]
    return {
        "resourceType": "Specimen",
        "id": f"slide-{number}",
        "identifier": [{"value": slide["name"]}, {"type": {"text": "SHA-256 of the file"}, "value": slide["sha256"]}],
        "type": {"text": "H&E slide"},
        "subject": _subject(part),
    }


def _device(facts: Mapping[str, Any]) -> _Resource:
    model = facts["count"]["model"]
    return {
        "resourceType": "Device",
        "id": "detector",
        "identifier": [{"type": {"text": "SHA-256 of the weights"}, "value": model["sha256"]}],
        "deviceName": [{"name": f"Mitoscope, {model['name']}", "type": "model-name"}],
        "version": [{"value": facts["count"]["code_version"]}],
        "note": [{"text": facts.get("use", "research use only")}],
    }
