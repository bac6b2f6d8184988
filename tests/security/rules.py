"""Who may call what: every address by its name, every method that it has, and the kinds of people who may.

What is not listed nobody may: an address that is missing here fails `test_every_address_has_a_rule`, a method that is
missing must be refused. The things that the addresses name are those of the study of `tests.rows`.
"""

from __future__ import annotations

# In every name of the study; in the name of the file, which may name a patient. No token, of letters and digits, holds
# them by chance.
SECRET, NAME = "zz-qx", "yy-qx"
ADMINISTRATORS = frozenset({"administrator"})
MANAGERS = ADMINISTRATORS | {"manager"}
READERS = MANAGERS | {"reader"}
UPLOADERS = READERS | {"uploader"}
MEMBERS = UPLOADERS | {"viewer"}
STAFF = ADMINISTRATORS | {"staff"}
SIGNED_IN = MEMBERS | {"staff", "outsider"}
ANYBODY = SIGNED_IN | {"stranger"}
OWNER = frozenset({"reader"})  # who began the upload, and reads blinded

_LOOKED_AT = {"GET": MEMBERS}
_FOR_ADMINISTRATORS = {"GET": ADMINISTRATORS}
_TABLE = (
    # Signing in, and one's own account. Without mail there is no reset, without a provider no other sign-in.
    ("login", {"GET": ANYBODY, "POST": ANYBODY}),
    ("second-step", {"GET": ANYBODY, "POST": ANYBODY}),  # on to the sign-in where no password was given
    ("passkey-asked passkey-shown logout", {"POST": ANYBODY}),
    ("second-factor", {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    ("passkey-new", {}),  # until the password is given once more
    ("invitation", {"GET": ANYBODY, "POST": ANYBODY}),  # says that the link is not good
    ("password-reset password-reset-confirm provider provider-callback", {}),
    ("admin-password-change", {"GET": ANYBODY, "POST": ANYBODY}),  # on to the page that all have
    ("admin-login", {"GET": STAFF, "POST": STAFF}),
    ("password-change tokens report-check notices", {"GET": SIGNED_IN, "POST": SIGNED_IN}),
    ("token-revoke", {"POST": SIGNED_IN}),
    # Pages.
    (
        "worklist worklist-rows slides cases jobs job-rows models model glossary",
        {"GET": SIGNED_IN},
    ),  # of what one may see
    ("slide case overview beside disagreements", _LOOKED_AT),
    ("study-readings", {"GET": MEMBERS, "POST": MANAGERS}),
    ("readings", {"GET": SIGNED_IN}),  # what is sent names a reading of one's own
    ("studies", {"GET": SIGNED_IN, "POST": STAFF}),  # who has the permission to add studies
    ("study", {"GET": MEMBERS, "POST": MANAGERS}),
    ("slide-report", {"GET": MEMBERS, "POST": READERS}),
    ("health metrics", {"GET": STAFF}),
    ("webhooks people", {"GET": ADMINISTRATORS, "POST": ADMINISTRATORS}),
    ("audit imports server retraining choose mining training calibration", _FOR_ADMINISTRATORS),
    ("judgement difference removal samples", _FOR_ADMINISTRATORS),
    # The API: slides, of which label, macro image and file need a permission of their own.
    ("api:slide-list", {"GET": SIGNED_IN}),
    ("api:slide-detail", {"GET": MEMBERS, "DELETE": MANAGERS}),
    ("api:slide-detections", {"GET": MEMBERS, "POST": UPLOADERS}),
    ("api:slide-mpp", {"POST": MANAGERS}),  # or who uploaded it
    ("api:slide-reader api:import", {"POST": READERS}),
    ("api:slide-losses api:slide-runs api:tile api:mitosis-count api:dzi api:crop api:thumbnail", _LOOKED_AT),
    ("api:tissue api:atypical api:candidates api:figure api:compare api:report-pdf api:report-fhir", _LOOKED_AT),
    ("api:label api:macro api:file", _FOR_ADMINISTRATORS),
    ("api:figures api:regions api:reports", {"GET": MEMBERS, "POST": READERS}),
    ("api:region", {"DELETE": READERS}),
    ("api:screening", {"GET": MEMBERS, "POST": READERS, "DELETE": READERS}),
    ("api:export", {"GET": READERS}),
    ("api:reading-list", {"GET": SIGNED_IN}),
    ("api:reading-open", {"POST": OWNER}),
    ("api:slide-readings", {"GET": MEMBERS, "POST": MANAGERS, "DELETE": MANAGERS}),
    ("api:reading-done", {"POST": READERS}),
    ("api:study-readings", {"GET": MEMBERS, "POST": MANAGERS}),
    ("api:disagreements", _LOOKED_AT),
    ("api:case-deletion", {"GET": MANAGERS, "POST": MANAGERS, "DELETE": MANAGERS}),
    # Studies, jobs, uploads.
    ("api:study-list", {"GET": SIGNED_IN, "POST": STAFF}),  # who has the permission to add studies
    ("api:study-detail", {"GET": MEMBERS, "PATCH": MANAGERS}),
    ("api:study-members", _LOOKED_AT),
    ("api:study-member", {"PUT": MANAGERS, "DELETE": MANAGERS}),
    ("api:study-export", {"GET": MANAGERS}),
    ("api:job-list", {"GET": SIGNED_IN}),
    ("api:job-detail", _LOOKED_AT),
    ("api:job-cancel api:job-retry", {"POST": UPLOADERS}),
    ("api:uploads", {"GET": SIGNED_IN, "POST": UPLOADERS}),
    ("api:upload", {"GET": OWNER, "PATCH": OWNER, "DELETE": OWNER}),
    # DICOMweb: files as they came may name a patient.
    ("api:dicomweb-studies", {"GET": MEMBERS, "POST": UPLOADERS}),
    ("api:dicomweb-study", {"GET": ADMINISTRATORS, "POST": UPLOADERS}),
    ("api:dicomweb-series api:dicomweb-instance", _FOR_ADMINISTRATORS),
    ("api:dicomweb-all-series api:dicomweb-all-instances api:dicomweb-series-of-study", _LOOKED_AT),
    ("api:dicomweb-instances-of-study api:dicomweb-instances-of-series api:dicomweb-study-metadata", _LOOKED_AT),
    ("api:dicomweb-series-metadata api:dicomweb-instance-metadata api:dicomweb-frames", _LOOKED_AT),
    # Model versions, and retraining.
    ("api:model-list api:model-detail api:card", {"GET": SIGNED_IN}),
    ("api:version-roll-back api:version-judge api:version-promote api:version-rerun", {"POST": ADMINISTRATORS}),
    ("api:mining-estimate api:mining-judge api:mining-reject api:mining-restore", {"POST": ADMINISTRATORS}),
    ("api:training-again", {"POST": ADMINISTRATORS}),
    ("api:version-judgements api:calibration-scanners api:calibration-detail", _FOR_ADMINISTRATORS),
    ("api:calibration-figures api:set-made-here api:mining-detail", _FOR_ADMINISTRATORS),
    ("api:mining-drawn api:mining-samples api:removal-affected api:training-detail", _FOR_ADMINISTRATORS),
    ("api:training-manifest", _FOR_ADMINISTRATORS),
    ("api:calibration-list api:set-list api:locked-case-list", {"GET": ADMINISTRATORS, "POST": ADMINISTRATORS}),
    ("api:free-slide-list api:mining-list api:removal-list", {"GET": ADMINISTRATORS, "POST": ADMINISTRATORS}),
    ("api:set-detail", {"GET": ADMINISTRATORS, "DELETE": ADMINISTRATORS}),
    ("api:training-list", {"GET": ADMINISTRATORS, "POST": ADMINISTRATORS}),
    ("api:locked-case-detail api:free-slide-detail api:removal-detail", {"DELETE": ADMINISTRATORS}),
    # What says nothing of anybody.
    ("api:health api:schema api:docs", {"GET": ANYBODY}),
)
RULES: dict[str, dict[str, frozenset[str]]] = {name: rule for names, rule in _TABLE for name in names.split()}
