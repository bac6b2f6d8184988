"""What 0.2.0 left behind works unchanged: data folder, database, tokens, reports, jobs, weights, plans, checkpoints.

`tests/fixtures/v0_2_0` was made by the code of 0.2.0 (its README says how); `answers.json.xz` is what that code
answered. Everything is asked through doors that stay where they are: HTTP, manage.py's commands, the workers' tasks by
their names, and `python -m detector`.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import lzma
import math
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pydicom
import pytest
import torch
from django.conf import settings

from detector.detection.detect import find_peaks
from detector.detection.scorer import load_scorer
from detector.slide import WorkingFrame, open_slide

ROOT = Path(__file__).resolve().parent.parent.parent
V0_2_0 = ROOT / "tests" / "fixtures" / "v0_2_0"
THEN: dict[str, Any] = json.loads(lzma.decompress((V0_2_0 / "answers.json.xz").read_bytes()))
SLIDE, JOBS = THEN["slides"]["read"], THEN["jobs"]

Step = tuple[str, list[Any], dict[str, Any]]  # which door of upgrade_driver.py, and what it is given


def unpacked(folder: Path) -> Path:
    """The data folder as 0.2.0 left it."""
    shutil.unpack_archive(V0_2_0 / "data.tar.xz", folder)
    return folder / "data"


class Upgraded:
    """A process of the present code on a data folder and a database of 0.2.0."""

    def __init__(self, data: Path, database: str) -> None:
        self.data, self._log = data, data / "stderr.txt"
        environment = {
            **os.environ, "DJANGO_SETTINGS_MODULE": "webapp.settings", "DATA_DIR": str(data), "DATABASE_URL": database,
            "MODEL_DIR": str(data / "models"), "REDIS_URL": f"unix://{data / 'no.sock'}", "OMP_NUM_THREADS": "1",
            "DEVICE": "cpu", "PRECISION": "fp32",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.end_to_end.upgrade_driver"], cwd=ROOT, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log.open("w"), text=True,
        )  # fmt: skip

    def do(self, *steps: Step) -> list[Any]:
        """What each step answers."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(steps) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-4000:]
        answers: list[Any] = json.loads(line)
        return answers

    def end(self) -> None:
        self._process.communicate()


def step(door: str, *given: Any, **named: Any) -> Step:
    return door, list(given), named


def get(path: str, who: str = "admin") -> Step:
    return step("call", "get", path, token=THEN["tokens"].get(who, who))


def post(path: str, data: Any = None, who: str = "admin", **headers: str) -> Step:
    return step("call", "post", path, token=THEN["tokens"][who], data=data, headers=headers)


def body(answer: dict[str, Any]) -> bytes:
    return base64.b64decode(answer["body"])


def told(answer: dict[str, Any]) -> Any:
    """What an answer says, in a form that JSON can keep and that two versions can be compared in."""
    kind, data = answer["headers"].get("Content-Type", ""), body(answer)
    if "json" in kind:
        return json.loads(data)
    if "csv" in kind:
        return list(csv.DictReader(io.StringIO(data.decode())))
    if "zip" in kind:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return sorted(archive.namelist())
    if kind == "application/dicom":
        groups = pydicom.dcmread(io.BytesIO(data)).AnnotationGroupSequence
        return [[one.AnnotationGroupLabel, *array("d", one.DoublePointCoordinatesData)] for one in groups]
    return hashlib.sha256(data).hexdigest()


def differences(then: Any, now: Any, where: str = "", *, close: float = 1e-9) -> Iterator[str]:
    """Where `now` does not say what `then` said; it may say more. close: as far as numbers may differ."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key, value in then.items():
            if key in now:
                yield from differences(value, now[key], f"{where}.{key}", close=close)
            else:
                yield f"{where}.{key} is gone"
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for index, pair in enumerate(zip(then, now, strict=True)):
            yield from differences(*pair, f"{where}[{index}]", close=close)
    elif all(isinstance(one, str) and re.fullmatch(r"-?\d+\.\d+", one) for one in (then, now)):  # of a CSV
        yield from differences(float(then), float(now), where, close=close)
    elif isinstance(then, float) and isinstance(now, float) and math.isclose(then, now, rel_tol=close, abs_tol=close):
        return
    elif then != now:
        yield f"{where}: {str(then)[:200]} was, {str(now)[:200]} is"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def upgraded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """The data folder in its place, with its SQLite file or with the same rows in a PostgreSQL of 0.2.0; migrated.

    The tests below share it, in their order: first what only reads.
    """
    data = unpacked(tmp_path_factory.mktemp("upgrade"))
    if request.param == "sqlite":
        made = Upgraded(data, f"sqlite:///{data / 'db.sqlite3'}")
        made.do(step("manage", "migrate"))
        yield made
        made.end()
        return
    if settings.DATABASES["default"]["ENGINE"] != "django.db.backends.postgresql":
        pytest.skip("these tests run on SQLite")
    address = os.environ["DATABASE_URL"]
    path, _, query = address.partition("?")
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("CREATE DATABASE upgrade")
    made = Upgraded(data, f"{path.rsplit('/', 1)[0]}/upgrade?{query}")
    try:
        made.do(step("copy", str(data / "db.sqlite3")), step("manage", "migrate"))
        yield made
    finally:
        made.end()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("DROP DATABASE upgrade WITH (FORCE)")


def test_the_history_of_migrations_goes_on(upgraded):
    upgraded.do(
        step("manage", "migrate", check_unapplied=True),
        step("manage", "makemigrations", check_changes=True, dry_run=True),
        step("manage", "check"),
    )


NAMED_BEFORE = {"Mitotic figure": "mitotic figure", "Non-mitotic": "non-mitotic figure", "Unsure": "unsure"}
NAMED_BEFORE |= dict.fromkeys(
    ("Mitotic figure (AI)", "Candidate below threshold", "Candidate not counted"), "candidate"
)
NAMED_BEFORE |= {name: name for name in NAMED_BEFORE.values()}


def without_hotspots(said: Any) -> Any:
    """An answer without hotspots (0.3.0 looks by evaluable area) and what nobody has reviewed; classes as before."""
    if isinstance(said, dict):
        if (name := said.get("classification", {}).get("name")) in NAMED_BEFORE:
            said = said | {"classification": NAMED_BEFORE[name]}
        judged = said.get("judged")
        if isinstance(judged, dict) and not any(judged[name] for name in ("mitotic", "non_mitotic", "unsure")):
            said = {name: value for name, value in said.items() if name != "reviewed"}
        if said.get("properties", {}).get("classification", {}).get("name") == "Hotspot":
            return "a hotspot"
        kept = {name: value for name, value in said.items() if not name.startswith("hotspot") and name != "reason"}
        return {n: without_hotspots(v) for n, v in kept.items() if n != "score" or isinstance(v, float)}
    if isinstance(said, list) and said and isinstance(said[0], list) and isinstance(said[0][0], str):  # DICOM's groups
        points: dict[str, list[tuple[float, ...]]] = {}
        for name, *xy in said:
            kind, _, origin = name.partition(", ")
            named = f"{NAMED_BEFORE.get(kind, kind)}, {origin}"
            points.setdefault(named, []).extend(zip(xy[::2], xy[1::2], strict=True))
        return [[name, *sorted(found)] for name, found in sorted(points.items()) if not name.startswith("Hotspot")]
    if isinstance(said, list):
        is_hotspot = said and isinstance(said[0], str) and said[0].startswith("Hotspot")  # a group of DICOM
        return said[:1] if is_hotspot else [without_hotspots(one) for one in said]
    return said


def test_what_could_be_read_reads_the_same(upgraded):
    answers = upgraded.do(*(get(read["path"], read["as"]) for read in THEN["reads"]))
    found = [
        f"{read['path']} as {read['as']}{difference}"
        for read, now in zip(THEN["reads"], answers, strict=True)
        for difference in differences(
            {"status": read["status"], "said": without_hotspots(read["said"])},
            {"status": now["status"], "said": without_hotspots(told(now))},
        )
    ]
    assert not found, "\n".join(found)


def test_pages_are_there_and_show_the_same_numbers(upgraded):
    answers = upgraded.do(*(step("page", path) for path in THEN["pages"]))
    for (path, words), answer in zip(THEN["pages"].items(), answers, strict=True):
        assert answer["status"] == 200, path
        assert not [word for word in words if word not in body(answer).decode()], path


def test_people_come_in_with_their_tokens_and_passwords(upgraded):
    kept = dict(line.split(": ") for line in (upgraded.data / "credentials.txt").read_text().splitlines()[1:])
    form = {"kind": "application/x-www-form-urlencoded"}
    answers = upgraded.do(
        *(get("/api/v1/jobs/?limit=1", who) for who in ("admin", "alice", "bob", "dora")),
        get("/api/v1/jobs/", "0" * 64),
        step("call", "post", "/login/", data=f"username=admin&password={kept['password']}", **form),
        step("call", "post", "/login/", data="username=alice&password=alice-of-0.2.0", **form),
        step("call", "post", "/login/", data="username=alice&password=another", **form),
    )
    assert [answer["status"] for answer in answers] == [200, 200, 200, 200, 401, 302, 302, 200]
    assert kept["token"] == THEN["tokens"]["admin"]


def test_a_signed_report_is_still_signed_and_the_next_version_follows_it(upgraded):
    address = f"/api/v1/reports/{THEN['report']}/report.pdf"
    pdf, by_hash, by_another = upgraded.do(
        get(address),
        step("page", f"/reports/check/?hash={THEN['sha256']}"),
        step("page", f"/reports/check/?hash={'0' * 64}"),
    )
    by_file, signed, listed = upgraded.do(
        step("page", "/reports/check/", file=pdf["body"]),
        post(f"/api/v1/slides/{SLIDE}/reports/", {"area_mm2": 0.002, "min_score": 0.4}, "alice"),
        get(f"/api/v1/slides/{SLIDE}/reports/"),
    )
    assert body(pdf).startswith(b"%PDF")
    for answer in (by_hash, by_file):
        assert THEN["sha256"] in body(answer).decode()
        assert "tag good" in body(answer).decode(), (
            "signed here, and what is stored has the hash that it was signed with"
        )
    assert THEN["report"] not in body(by_another).decode()
    assert (signed["status"], told(signed)["version"]) == (201, 2)
    assert [report["version"] for report in told(listed)] == [2, 1]
    assert "Version 2 was signed later." in told(listed)[1]["changes"]


def test_what_was_begun_before_goes_on_after(upgraded):
    verdict, figures = THEN["verdict"], f"/api/v1/slides/{SLIDE}/figures/"
    reader, key = f"/api/v1/slides/{SLIDE}/reader/", {"Idempotency-Key": "fixture-reader"}
    tus = {"Tus-Resumable": "1.0.0", "Upload-Offset": str(THEN["arrived"])}
    again, otherwise, judged, unseen, there, sent = upgraded.do(
        post(reader, {"reader": "alice"}, "alice", **key),
        post(reader, {"reader": None}, "alice", **key),
        post(figures, {**verdict, "label": "non_mitotic", "expected": 1}, "bob"),
        post(figures, {"x": verdict["x"], "y": verdict["y"], "label": "mitotic", "expected": 1}, "alice"),
        get(THEN["upload"], "alice"),
        step(
            "call", "patch", THEN["upload"], token=THEN["tokens"]["alice"], headers=tus, raw=THEN["late"],
            kind="application/offset+octet-stream",
        ),
    )  # fmt: skip
    assert (again["status"], again["headers"].get("Idempotency-Replayed")) == (200, "true")
    assert not list(differences(THEN["reader_answer"], told(again)))
    assert otherwise["status"] == 422, "the key of another call"
    assert (judged["status"], told(judged)["version"]) == (200, 2), "a verdict that is sent twice is one"
    assert (unseen["status"], told(unseen)["figure"]["label"]) == (409, "non_mitotic")
    assert there["headers"]["Upload-Offset"] == str(THEN["arrived"])
    assert (sent["status"], "Mitoscope-Slide" in sent["headers"]) == (204, True)


def work() -> list[Step]:
    """What workers had left to do, done: a detection of which a part was done, one and a mining that waited, a training
    that was stopped. Then what came of it."""
    runs, training = THEN["slides"]["elsewhere"], THEN["trainings"]["stopped"]
    return [
        post(f"/api/v1/jobs/{JOBS['stopped']}/retry/"),
        *(step("task", "worker.detect", shard) for shard in [*THEN["shards"]["waiting"], *THEN["shards"]["queued"]]),
        step("task", "worker.mine", THEN["shards"]["mining"][0]),
        step("task", "worker.train", THEN["shards"]["stopped"][0]),
        *(get(f"/api/v1/jobs/{JOBS[name]}/") for name in ("waiting", "queued", "mining", "stopped")),
        get(f"/api/v1/slides/{SLIDE}/detections/?min_score=0.2"),
        get(f"/api/v1/slides/{runs}/detections/?min_score=0.2"),
        get(f"/api/v1/trainings/{training}/"),
    ]


def outcome(answers: list[Any]) -> dict[str, Any]:
    """What does not depend on when it was done."""
    *_, waiting, queued, mining, stopped, read, elsewhere, training = map(told, filter(None, answers))
    return {
        "states": [job["state"] for job in (waiting, queued, mining, stopped)],
        "progress": [job["progress"] for job in (waiting, queued, mining, stopped)],
        "found": [found["results"] for found in (read, elsewhere)],
        "curve": training["curve"],
        "said": [line["said"] for line in training["log"]],
        "weights": training["version"] is not None,
    }


def without_draws(outcome: dict[str, Any]) -> dict[str, Any]:
    """An outcome with its training's iterations, rates and sentences, and no numbers that depend on batches."""
    rows = [{key: row[key] for key in ("iteration", "learning_rate")} for row in outcome["curve"]]
    return {**outcome, "found": [], "curve": rows, "said": [re.sub(r"[\d.]+", "#", words) for words in outcome["said"]]}


def test_work_that_was_under_way_is_finished(upgraded):
    now = outcome(upgraded.do(*work()))
    assert now["states"] == ["succeeded"] * 4
    assert all(now["found"]) and len(now["found"]) == 2
    # Batches are drawn otherwise since 0.2.0: the rest of a training has losses and hard negatives of its own. Figures
    # are scored otherwise.
    pair = (without_draws(one) for one in (THEN["outcome"], now))
    assert not list(differences(*pair, close=1e-4))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked(tmp_path_factory.mktemp("detector"))


@pytest.fixture
def detector(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[int, str]]]:
    """`python -m detector ...`: its exit status, and what it says."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["detector", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_module("detector", run_name="__main__")
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out or said.err

    yield run
    torch.set_num_threads(before)


@pytest.mark.parametrize("way", ["alone", "cascade"])
def test_weights_score_as_they_did(detector, data, way):
    """Scores are told to 1e-5. Those of a low threshold are those of nearly every place that could be one.

    A detection was its peak in 0.2.0; the score of a figure is another.
    """
    path, weights = data / "slides" / SLIDE / "original" / "slide.tif", data / "models" / "mitoscope.safetensors"
    arguments = ["--min-score", "0.001", "--no-cascade"] if way == "alone" else ["--min-score", "0.2"]
    status, said = detector("detect", path, "--weights", weights, "--device", "cpu", "--precision", "fp32", *arguments)
    assert status == 0
    now, then = json.loads(said), dict(THEN["detect"][way])
    assert now["parameters"]["cascade"] == (way == "cascade") and now["detections"]
    detections = then.pop("detections")
    assert len(detections) > 5
    assert not list(differences(then, now, close=2e-5))
    scorer, _ = load_scorer(weights, device="cpu", precision="fp32", cascade=way == "cascade")
    with open_slide(path) as slide:
        frame = WorkingFrame(slide, tuple(now["mpp"]))
        peaks = find_peaks(scorer, frame, min_score=now["parameters"]["min_score"])
    assert not list(differences(detections, peaks.rows(), close=2e-5))


@pytest.mark.parametrize("plan", sorted((V0_2_0 / "plans").glob("*.toml")), ids=lambda path: path.stem)
def test_plans_are_read(detector, data, plan, tmp_path):
    """Up to what is wrong with the data; a plan with a mistake is refused before."""
    nothing = tmp_path / "nothing"
    status, said = detector("train", nothing, "--plan", plan, "--out", tmp_path / "out")
    assert (status, str(nothing) in said) == (2, True), said
    (tmp_path / plan.name).write_text(f"nonsense = 1\n{plan.read_text()}")
    status, said = detector("train", nothing, "--plan", tmp_path / plan.name, "--out", tmp_path / "out")
    assert (status, "nonsense" in said) == (2, True), said


@pytest.mark.parametrize("way", ["from the beginning", "from its checkpoint", "in steps"])
def test_plans_mean_what_they_meant_and_checkpoints_go_on(detector, data, way, tmp_path):
    name, out = "tiny-steps" if way == "in steps" else "tiny", tmp_path / "out"
    if kept := 3 * (way == "from its checkpoint"):  # rows; those after it have losses of batches as they are drawn now
        shutil.copytree(data / "runs" / "tiny", out)
    status, said = detector(
        "train", data / "sets" / THEN["set"], "--plan", V0_2_0 / "plans" / f"{name}.toml", "--out", out,
        "--held-out", "B00,B01", "--device", "cpu", "--precision", "fp32", "--resume",
    )  # fmt: skip
    assert (status, "holds no checkpoint" in said) == (0, not kept), said
    now = [[float(value or -1) for value in row] for row in list(csv.reader((out / "curve.csv").open()))[1:]]
    pair = ([row if i < kept else row[0:3:2] for i, row in enumerate(rows)] for rows in (THEN["curves"][name], now))
    assert not list(differences(*pair, close=1e-4))
    card = json.loads((out / "weights.json").read_text())
    assert (card["iterations"], card["cases_learnt"]) == (len(now) and int(now[-1][0]), ["A00", "A01", "B02"])
