"""An example of everything that is sent and answered, for the OpenAPI description.

By the name of its schema; where a body has none of its own, by operation and status (`request` for what is sent).
"""

from __future__ import annotations

from typing import Any

_SLIDE, _RUN, _OTHER_RUN = (f"6f1c8b1e-2a51-4f0e-9a55-0d0f4ce1a6{n}" for n in ("c7", "d8", "e9"))
_MODEL, _PARENT, _FIGURE, _REGION, _JOB_ID, _SET, _MINING, _TRAINING, _JUDGEMENT, _REPORT, _UPLOAD, _CALIBRATION = (
    f"b7a0e7a2-7a86-4b7e-8a0e-3d2f9c54f0{number}" for number in range(10, 22)
)
_SHA = "8c3f0a7be1d24c55a9f6b2e07d913c48e5f1a2b6c7d8091e2f3a4b5c6d7e8f90"
_AT, _LATER = "2026-11-25T10:12:00Z", "2026-11-25T10:15:42Z"
_CORNERS = [[12000.0, 9000.0], [31000.0, 9000.0], [31000.0, 24000.0], [12000.0, 24000.0]]

_CANDIDATE = {"x": 24180.5, "y": 30977.25, "score": 0.93}
_FIGURE_EXAMPLE = {
    "id": _FIGURE, "x": 24180.5, "y": 30977.25, "added": False, "screened": False, "disputed": False,
    "label": "mitotic", "atypical": None, "version": 1, "by": "alice", "at": _AT, "candidate": 48213,
}  # fmt: skip
_SENSITIVITY = {"min_score": 0.5, "found": 38, "missed": 4, "open": 0, "share": 0.905, "interval": [0.779, 0.962]}
_PROGRESS = {"seen": 0.83, "x": 41200.0, "y": 18800.0, "at": _AT, "sensitivity": _SENSITIVITY}
_JOB = {
    "id": _JOB_ID, "kind": "detect", "slide": _SLIDE, "slide_name": "case-17, slide 1", "state": "running",
    "priority": 1, "progress": {"done": 812, "total": 2704, "skipped": 601, "shards_done": 1, "shards_total": 4},
    "queue_position": None, "seconds_left": 41.5, "workers": ["detect@host, cpu, fp32"], "error": "",
    "created_at": _AT, "started_at": _AT, "ended_at": None,
}  # fmt: skip
_PRECISION = {
    "judged": 50, "mitotic": 47, "of": 312, "value": 0.94, "interval": [0.838, 0.979], "fit": True,
    "sentence": "47 of the 50 that were judged are mitotic figures.",
}  # fmt: skip
_REPORT_EXAMPLE = {
    "id": _REPORT, "slide": _SLIDE, "version": 2, "signed_by": "alice", "signed_at": _LATER, "sha256": _SHA,
    "pdf_sha256": _SHA[::-1], "number": 41, "previous": _SHA[1:] + "0", "seal": _SHA[2:] + "00",
    "pdf": f"/api/v1/reports/{_REPORT}/report.pdf", "fhir": f"/api/v1/reports/{_REPORT}/fhir/",
    "changes": ["count 96, was 97"],
    "facts": {"count": 96, "count_per_mm2": 1.02, "min_score": 0.5},
}  # fmt: skip
_READING = {
    "id": 41, "slide": _SLIDE, "reader": "alice", "round": 1, "place": 3, "shows_candidates": True, "opens_at": _AT,
    "done_at": None, "over_at": None, "copy": _OTHER_RUN,
}  # fmt: skip
_AGREEMENT = {
    "first": "alice", "second": "ben", "slides": 20, "figures": 212, "agreed": 0.86, "kappa": 0.71, "difference": 1.2,
    "limits": [-6.4, 8.8], "scores": 20, "same_score": 0.85, "score_kappa": 0.82,
}  # fmt: skip
_REGION_EXAMPLE = {
    "id": _REGION, "kind": "tumour", "polygon": _CORNERS, "mm2": 17.8125, "by": "alice", "at": _AT, "replaces": None,
}  # fmt: skip
_RUN_EXAMPLE = {
    "id": _RUN, "slide": _SLIDE, "model": _MODEL, "model_sha256": _SHA, "doubts": [],
    "parameters": {"floor": 0.2, "logit_shift": -0.8, "stain_known": True, "scanner_known": True}, "mpp_x": 0.2519,
    "mpp_y": 0.2519, "code_version": "0.2.0", "device": "cpu", "precision": "fp32", "windows_total": 2704,
    "windows_skipped": 1601, "candidate_count": 214, "created_at": _LATER,
}  # fmt: skip
_UPLOAD_EXAMPLE = {
    "id": _UPLOAD, "name": "slide.svs", "size": 1500000000, "offset": 734003200, "created_at": _AT,
    "expires_at": "2026-12-02T10:12:00Z", "slide": None,
}  # fmt: skip
_CONFLICT = {"type": "about:blank", "title": "Conflict", "status": 409}
_GEOJSON = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "id": _FIGURE,
            "geometry": {"type": "Point", "coordinates": [24180.5, 30977.25]},
            "properties": {
                "objectType": "detection",
                "classification": {"name": "mitotic figure", "color": [0, 114, 178]},
                "measurements": {"score": 0.93},
                "metadata": {"label": "mitotic", "counted": "yes", "added": "no", "by": "alice", "at": _AT},
            },
        }
    ],
}

_AFFECTED = {
    "what": "the slide case-17, slide 1", "verdicts": 12, "mined_samples": 31, "sets": [], "trainings": ["autumn"],
    "versions": ["autumn"], "active": "autumn", "mining_runs": [_MINING], "runs": 8,
}  # fmt: skip

SCHEMAS: dict[str, Any] = {
    "Affected": _AFFECTED,
    "Again": {"name": "autumn, without slide 1"},
    "Calibration": {
        "id": _CALIBRATION, "scanner": "SS1302", "at": _AT, "parent": _PARENT, "version": _MODEL, "remark": "",
        "job": {**_JOB, "kind": "calibrate", "slide": None, "slide_name": "", "state": "succeeded", "ended_at": _LATER},
        "figures": 212, "figures_sha256": _SHA,
        "result": {"logit_shift": -0.8125, "before": 0.0, "mitotic": 80, "non_mitotic": 132, "missed": 6,
                   "f1_before": 0.71, "f1_after": 0.79},
    },
    "CalibrationRequest": {"scanner": "SS1302"},
    "CaseName": {"name": "case-17"},
    "Changed": {"changed": 31},
    "Compare": {"both": 187, "only_run": [_CANDIDATE], "only_other": [{"x": 1204.5, "y": 880.25, "score": 0.51}]},
    "DetectionRequest": {"model": _MODEL},
    "Detections": {"run": _RUN, "min_score": 0.5, "total": 96, "results": [_CANDIDATE]},
    "Estimate": {"slides": 40, "tissue_mm2": 3120.5, "seconds": 20800.0, "rests_on": "6 runs of the last days"},
    "Figure": _FIGURE_EXAMPLE,
    "Figures": {"run": _RUN, "version": 27, "results": [_FIGURE_EXAMPLE]},
    "ScreeningProgress": _PROGRESS,
    "ScreeningCoverage": {
        **_PROGRESS, "columns": 614, "rows": 480, "evaluable": "AAAA/w==", "cells": "AAAA8A==", "um_per_px": 0.3,
        "seconds": 1.0, "tumour": True,
    },
    "Reading": _READING,
    "Readers": {"readers": ["alice", "ben"], "shows_candidates": False},
    "ReaderStudy": {
        "slides": [_SLIDE], "readers": ["alice", "ben"], "rounds": [False, True], "wash_out_days": 14, "shuffled": True,
    },
    "Agreements": {"pairs": [_AGREEMENT], "together": {"raters": 2, "figures": 212, "kappa": None}},
    "Dispute": {
        "id": _FIGURE, "slide": _SLIDE, "x": 24180.5, "y": 30977.25, "version": 3,
        "said": [{"by": "alice", "label": "mitotic"}, {"by": "ben", "label": "non_mitotic"}],
    },
    "Atypical": {"run": _RUN, "candidates": [48213, 48217], "probabilities": [0.83, 0.12]},
    "MitosisFreeSlide": {"id": 3, "slide": _SLIDE, "at": _AT},
    "History": {"version": 1, "label": "mitotic", "by": "alice", "at": _AT, "together": False, "atypical": None},
    "Job": _JOB,
    "Judgement": {
        "id": _JUDGEMENT, "version": _MODEL, "active": _PARENT, "cases": ["case-3", "case-9"], "reviewed": [_SLIDE],
        "left_out": {"case-12": "1 of 2 slides not read to the end"}, "verdict": "better",
        "why": "max F1 0.61 instead of 0.55; the 95 % interval of the difference is above 0.",
        "result": {"max_f1": [0.61, 0.55]}, "at": _AT, "job": {**_JOB, "kind": "judge", "slide": None},
    },
    "JudgedScanner": {
        "scanner": "SS1302", "slides": 9, "mitotic": 74, "non_mitotic": 132, "missed": 6, "refusal": "",
    },
    "LabelledSet": {
        "id": _SET, "name": "MITOS 2012", "sha256": _SHA, "at": _AT,
        "job": {**_JOB, "kind": "train", "slide": None, "slide_name": "", "state": "succeeded", "ended_at": _LATER},
        "cases": ["A00", "A01"], "frames": 20,
        "found": ["MITOS12: 20 frames, 2 cases, 131 mitoses"],
    },
    "LockedCase": {"id": 5, "name": "case-3", "at": _AT, "used_at": None},
    "LocalLabels": {"mitotic": 212, "non_mitotic": 418, "slides": 14, "people": 3},
    "MinedSample": {
        "id": 918, "slide": _SLIDE, "x": 24180.5, "y": 30977.25,
        "scores": [0.97, 0.95, 0.99, 0.96, 0.94, 0.98, 0.97, 0.95], "least": 0.94, "verdict": "", "verdict_at": None,
        "rejected": "",
    },
    "MiningRequest": {"study": 1, "matching": {"scanner": "Aperio"}, "most": 40, "first_look": 0.5, "agreement": 0.8},
    "MiningRun": {
        "id": _MINING, "model": _MODEL, "first_look": 0.5, "agreement": 0.8, "at": _AT,
        "job": {**_JOB, "kind": "mine", "slide": None, "slide_name": ""}, "samples": 312, "precision": _PRECISION,
    },
    "ModelVersion": {
        "id": _MODEL, "name": "mitoscope", "state": "active", "sha256": _SHA, "parent": _PARENT, "created_at": _AT,
        "card": {"name": "mitoscope", "metrics": {"f1_at_half": 0.854}},
    },
    "Precision": _PRECISION,
    "Reason": {"reason": "better on the locked cases"},
    "Region": _REGION_EXAMPLE,
    "Reject": {"below": 0.9},
    "RemovalRequest": {"slide": _SLIDE, "reason": "consent withdrawn"},
    "Removal": {
        "id": 4, "slide": _SLIDE, "slide_was": None, "person": None, "labelled_set": None, "by": "root",
        "reason": "consent withdrawn", "at": _AT, "ended_at": None,
    },
    "Removed": {**_AFFECTED, "id": 4},
    "Report": _REPORT_EXAMPLE,
    "Rerun": {"slides": [_SLIDE]},
    "RerunAnswer": {"jobs": [_JOB_ID], "refused": {}},
    "Run": _RUN_EXAMPLE,
    "SampleVerdict": {"sample": 918, "label": "mitotic"},
    "SetImport": {"name": "MITOS 2012", "file": "the bytes of mitos12.zip"},
    "Slide": {
        "id": _SLIDE, "name": "case-17, slide 1", "study": "Breast", "case": "case-17", "state": "ready", "remark": "",
        "width": 78000, "height": 61000, "mpp": [0.2519, 0.2519], "mpp_source": "file", "tissue_mm2": 94.1,
        "format": "aperio", "scanner": "Aperio", "bytes": 1500000000, "sha256": _SHA, "drawn": False,
        "uploaded_at": _AT, "run": _RUN, "reader": "alice",
    },
    "SlideId": {"slide": _SLIDE},
    "SlideLosses": {
        "runs": 2, "candidates": 428, "verdicts": 35, "regions": 1, "reports": 0, "mined_samples": 0,
        "mitosis_free": False, "trainings": 0, "versions": 0,
    },
    "Member": {"username": "bob", "role": "reader"},
    "MemberRequest": {"role": "reader"},
    "CaseDeletion": {"confirm": True},
    "CaseDeleted": {"state": "deleted"},
    "CaseLosses": {
        "slides": 2, "reports": 1, "reports_become": "consent", "verdicts": 118, "regions": 3, "mined_samples": 0,
        "versions": 0, "asked_by": "keller", "asked_at": _AT,
    },
    "Study": {"id": 1, "name": "Breast", "created_at": _AT, "rule": "", "area_mm2": None, "shape": "",
        "deleted_reports": "tombstone", "reading": "open", "candidates_hidden": False,
        "atypical": False,
    },
    "PatchedStudyChange": {"rule": "per-mm2", "area_mm2": 2.0, "shape": "circle"},
    "StudyMake": {"name": "Breast 2027"},
    "Training": {
        "id": _TRAINING, "name": "autumn", "at": _AT, "job": {**_JOB, "kind": "train", "slide": None, "slide_name": ""},
        "parent": _PARENT, "plan": {"iterations": 60000}, "inputs": {"sets": ["MITOS 2012"], "figures": 210},
        "manifest_sha256": _SHA, "warnings": [], "curve": [{"iteration": 1000, "loss": 0.21, "validation_f1": 0.48}],
        "log": ["1000 of 60000"], "version": None,
    },
    "TrainingRequest": {"name": "autumn", "sets": [_SET], "verdicts": True, "mining": [_MINING], "parent": _PARENT},
    "Upload": _UPLOAD_EXAMPLE,
}  # fmt: skip

BODIES: dict[tuple[str, str], Any] = {
    ("health_retrieve", "200"): {
        "ok": True, "database": {"ok": True, "kind": "postgresql"}, "broker": {"ok": True},
        "disk": {"ok": True, "free_gb": 812.4},
        "jobs": {"waiting": 3, "running": 1, "workers": 4, "stuck": [], "slow": []},
    },
    ("health_retrieve", "503"): {
        "ok": False, "database": {"ok": False, "say": "the database does not answer"}, "broker": {"ok": True},
        "disk": {"ok": True, "free_gb": 812.4},
    },
    ("models_card_retrieve", "200"): {"name": "mitoscope", "sha256": _SHA, "metrics": {"f1_at_half": 0.854}},
    ("trainings_manifest_retrieve", "200"): {
        "sets": [{"id": _SET, "name": "MITOS 2012", "sha256": _SHA, "by": 1, "cases": ["A00", "A01"]}], "figures": [],
        "mined": [], "slides": {}, "train": ["A00"], "validation": ["A01"], "test": ["case-3"],
    },
    ("calibrations_figures_retrieve", "200"): {
        "scanner": "SS1302",
        "figures": [{"id": _FIGURE, "slide": _SLIDE, "case": "case-17", "x": 24180.5, "y": 30977.25, "label": "mitotic",
                     "score": 0.93, "logit_shift": 0.0, "by": 2}],
    },
    ("slides_figures_judge", "409"): {
        **_CONFLICT, "detail": "bob has judged this figure in the meantime: unsure. Look at it again, then give your "
        "verdict; nothing was changed.", "figure": {**_FIGURE_EXAMPLE, "label": "unsure", "by": "bob"},
    },
    ("slides_regions_draw", "409"): {
        **_CONFLICT, "detail": "Somebody has changed or removed this region in the meantime; reload to see it.",
    },
    ("slides_regions_destroy", "409"): {
        **_CONFLICT, "detail": "Somebody has changed or removed this region in the meantime; reload to see it.",
    },
    ("slides_import_create", "request"): _GEOJSON,
    ("reports_fhir_retrieve", "200"): {
        "resourceType": "DiagnosticReport", "id": _REPORT, "status": "final", "code": {"text": "Mitotic count"},
        "subject": {"type": "Patient", "identifier": {"value": "case-17"}}, "issued": _LATER,
        "contained": [{
            "resourceType": "Observation", "id": "score-1", "status": "final", "valueInteger": 3,
            "code": {"text": "Mitotic score by the rule Density: above 3 and from 8 per mm²"},
        }],
        "result": [{"reference": "#score-1"}],
    },
    ("slides_reports_sign", "request"): {"min_score": 0.5, "shape": "circle"},
    ("slides_tiles.dzi_retrieve", "200"): '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" '
    'Overlap="0" TileSize="254"><Size Width="78000" Height="61000"/></Image>',
}  # fmt: skip

EXPORTS = {
    "application/geo+json": _GEOJSON,
    "text/csv": "slide,x,y,score,label,counted,hotspot,added,by,at\r\n"
    f"{_SLIDE},24180.5,30977.25,0.93,mitotic,yes,1,no,alice,2026-11-25T10:12:00+00:00\r\n",
    "application/json": {
        "type": "Multiple points",
        "points": [{"name": "mitotic figure", "point": [6.0911, 7.8032, 0], "probability": 0.93}],
        "version": {"major": 1, "minor": 0},
    },
}  # of a slide, by their type


def example_of(operation: str, status: str, content_type: str, schema: dict[str, Any]) -> Any:
    """What a body of this schema looks like; None where there is no example. status: `request` for what is sent."""
    if schema.get("format") == "binary":  # a file
        return None
    if (operation, status) in BODIES:
        return BODIES[operation, status]
    if operation == "slides_export_retrieve":
        return EXPORTS.get(content_type)  # None for what is not text
    if schema.get("type") == "array":
        one = example_of(operation, "", content_type, schema["items"])
        return None if one is None else [one]
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    name = name if name in SCHEMAS else name.removesuffix("Request")  # the same without what is only answered
    if name.startswith("Paginated"):
        one = SCHEMAS.get(name.removeprefix("Paginated").removesuffix("List"))
        return one and {"count": 1, "next": None, "previous": None, "results": [one]}
    return SCHEMAS.get(name)
