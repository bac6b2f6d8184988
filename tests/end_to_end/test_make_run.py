"""The main job as a person does it: `make run`, sign in, drop a slide, see its mitoses, read the same count by REST."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from static.mitoscope import Mitoscope
from tests.browser import sign_in
from tests.drawing import draw_tissue
from tests.ports import free_port
from tests.waiting import wait_for
from tests.worker.test_ingest import hostile

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass
class Running:
    """A Mitoscope started by `make run`."""

    address: str
    data: Path
    process: subprocess.Popen
    name: str
    password: str
    token: str

    def get(self, path: str, method: str = "GET") -> dict:
        request = urllib.request.Request(
            f"{self.address}/api/v1/{path}", headers={"Authorization": f"Token {self.token}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


def make_run(data: Path, port: int, **variables: str) -> subprocess.Popen:
    kept = ("PATH", "HOME", "LANG", "MITOSCOPE_DATA")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {
        "DATA_DIR": str(data),
        "PORT": str(port),
        "DEMO_SLIDE_PIXELS": "1800",
        "LEASE_SECONDS": "10",
        **variables,
    }
    return subprocess.Popen(
        ["make", "run"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start(data: Path, **variables: str) -> Running:
    port = free_port()
    process = make_run(data, port, **variables)
    said = ""
    for line in process.stdout:
        said += line
        if "Ctrl-C stops everything" in line:
            break
    found = dict(re.findall(r"^  (name|password|API token) +(\S+)$", said, re.MULTILINE))
    assert f"http://127.0.0.1:{port}" in said, said
    names = ("name", "password", "API token")
    return Running(f"http://127.0.0.1:{port}", data, process, *(found.get(name, "") for name in names))


def interrupt(process: subprocess.Popen) -> None:
    """Ctrl-C: the signal goes to the whole foreground group."""
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=60)


def processes_of(data: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DATA_DIR") == str(data):
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    data = tmp_path_factory.mktemp("var")
    app = start(data)
    yield app
    if app.process.poll() is None:
        interrupt(app.process)


@pytest.fixture
def page(browser, running):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    sign_in(page, running.address, running.name, running.password)
    yield page
    context.close()
    assert not troubles


@pytest.fixture(scope="module")
def a_slide(tmp_path_factory) -> Path:
    from detector.slide.drawn import draw_slide

    path = tmp_path_factory.mktemp("drawn") / "uploaded.tif"
    draw_slide(path, size=2048, figures=9, seed=4)
    return path


def detected(running: Running, **fields: object) -> dict:
    """The slide with these fields, as soon as it has a run."""

    def found() -> dict | None:
        slides = running.get("slides/")["results"]
        return next((slide for slide in slides if slide["run"] and fields.items() <= slide.items()), None)

    return wait_for(found, seconds=180, what=f"a detection on {fields}", every=0.3)


def inked(page) -> int:
    """How many pixels of the overlay are drawn on."""
    return page.evaluate(
        """() => { const c = document.getElementById('overlay');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; }"""
    )


def shown_count(page) -> int:
    return int(page.get_attribute("#count", "data-count"))


def test_secrets_are_kept_for_the_owner_alone(running):
    for name in ("credentials.txt", "secret_key"):
        assert stat.S_IMODE((running.data / name).stat().st_mode) == 0o600


def test_the_demonstration_slide_is_there_says_that_it_is_drawn_and_gets_detected(running, page):
    slide = detected(running, drawn=True)
    page.goto(running.address)
    row = page.locator(f"tr[data-slide='{slide['id']}']")
    assert "drawn, not scanned" in row.inner_text()
    count = running.get(f"slides/{slide['id']}/mitosis-count/")
    assert row.locator("td.big").inner_text() == str(count["count"])


def test_a_dropped_slide_is_shown_detected_and_counted_the_same_everywhere(running, page, a_slide):
    page.set_input_files("#files", str(a_slide))
    page.wait_for_selector(f"tr:has-text('{a_slide.name}')", timeout=60_000)
    slide = detected(running, name=a_slide.name)
    page.goto(f"{running.address}/slides/{slide['id']}/")
    page.wait_for_selector("#count[data-count]")
    page.wait_for_selector("#showing:has-text('stored from confidence')")

    counts = []
    for score in (0.5, 0.25, 0.9):
        page.fill("#score", str(score))
        by_rest = running.get(f"slides/{slide['id']}/mitosis-count/?min_score={score}")
        assert shown_count(page) == by_rest["count"], score
        assert page.inner_text("#score-value") == f"{score:.2f}"
        counts.append(by_rest["count"])
    assert counts[1] >= counts[0] >= counts[2]
    assert counts[1] > 0
    page.fill("#score", "0.25")
    wait_for(lambda: inked(page) > 20, seconds=15, what="the marks on the slide")
    assert page.locator("#scalebar span").inner_text().endswith(("µm", "mm"))
    page.wait_for_selector(f"#density:has-text('{by_rest['tissue_mm2']:.2f} mm² evaluable')")

    from detector.__main__ import main

    out = running.data / "detections.json"
    assert main(["detect", str(a_slide), "--out", str(out)]) == 0
    found = json.loads(out.read_text())["detections"]
    assert len(found) == counts[0]

    before = page.locator("#candidates li").count()
    assert before > 0
    page.keyboard.press("j")
    page.wait_for_selector("#candidates li[aria-current]")
    page.locator("#candidates li").nth(min(1, before - 1)).click()
    crop = page.locator("#candidates img").first
    wait_for(lambda: crop.evaluate("image => image.naturalWidth") == 128, seconds=15, what="a crop of 128 px")


def test_a_frame_without_scale_is_asked_for_it_and_then_detected(running, page, tmp_path):
    from PIL import Image

    from detector.slide import open_slide
    from detector.slide.drawn import draw_slide

    draw_slide(tmp_path / "d.tif", size=1200, figures=4, seed=9)
    with open_slide(tmp_path / "d.tif") as drawn:
        Image.fromarray(drawn.read(0, 200, 300, 700, 600)).save(tmp_path / "frame.png")
    page.set_input_files("#files", str(tmp_path / "frame.png"))
    page.wait_for_selector("tr:has-text('µm/px missing')", timeout=60_000)
    page.click("tr:has-text('frame.png') a strong")
    page.fill("#mpp-form [name=mpp]", "0,25")
    page.click("#mpp-form button")
    slide = detected(running, name="frame.png")
    assert slide["mpp"] == [0.25, 0.25]
    page.wait_for_selector("#count[data-count]", timeout=60_000)


def test_a_folder_becomes_one_slide_where_it_is_one(running, page, tmp_path):
    real = os.environ.get("MITOSCOPE_DATA", "")
    if not real:
        pytest.skip("MITOSCOPE_DATA is not set: there is no DICOM slide here")
    folder = tmp_path / "specimen"
    folder.mkdir()
    for name in ("boxes_0.dcm", "boxes_1.dcm"):
        shutil.copyfile(Path(real) / "slides" / "fixtures" / name, folder / name)
    page.set_input_files("#folder", str(folder))
    row = page.locator("tr:has-text('specimen.zip')")
    row.locator("img").wait_for(timeout=60_000)
    slide = next(s for s in running.get("slides/")["results"] if s["name"] == "specimen.zip")
    assert (slide["format"], slide["width"]) == ("dicom", 16)


def test_a_file_that_is_no_slide_is_refused_on_the_page_with_the_reason(running, page, tmp_path):
    (tmp_path / "notes.svs").write_text("no slide\n" * 50)
    page.set_input_files("#files", str(tmp_path / "notes.svs"))
    row = page.locator("tr:has-text('notes.svs')")
    row.locator("text=neither a slide").wait_for(timeout=60_000)
    assert running.get("health/")["ok"]


def test_the_server_answers_while_hostile_files_are_prepared_and_nothing_of_them_stays(running, tmp_path):
    files = hostile(draw_tissue(900, 700), tmp_path)
    client = Mitoscope(running.address, running.token)
    for name, (data, _) in files.items():
        (tmp_path / name).write_bytes(data)
    slides = [client.upload(tmp_path / name) for name in files]  # none waits for the one before

    def refused() -> bool:
        with urllib.request.urlopen(f"{running.address}/api/v1/health/", timeout=5) as answer:
            assert answer.status == 200
        return all(slide.info()["state"] == "refused" for slide in slides)

    wait_for(refused, seconds=180, what="every file to be refused", every=0.3)
    assert not [slide.id for slide in slides if (running.data / "slides" / slide.id).exists()]
    assert not list((running.data / "uploads").iterdir())


def test_killed_workers_come_back_and_the_detection_is_done(running):
    slide = next(s for s in running.get("slides/")["results"] if s["drawn"])
    job = running.get(f"slides/{slide['id']}/detections/", "POST")

    def state() -> str:
        return running.get(f"jobs/{job['id']}/")["state"]

    wait_for(lambda: state() != "pending", seconds=180, what="the detection to begin", every=0.3)
    workers = [process for process in processes_of(running.data) if "-Q detect" in " ".join(process.cmdline())]
    assert workers
    for process in workers:
        process.kill()
    wait_for(lambda: state() == "succeeded", seconds=240, what="the detection to be done", every=0.3)
    runs = running.get(f"slides/{slide['id']}/runs/")
    assert len({run["candidate_count"] for run in runs}) == 1


def test_a_second_make_run_on_one_folder_is_refused_and_the_first_goes_on(running):
    before = {process.pid for process in processes_of(running.data)}
    out, _ = make_run(running.data, free_port()).communicate(timeout=120)
    supervisor = (running.data / "run" / "supervisord.pid").read_text().strip()
    assert f"is in use by Mitoscope at {running.address} (process {supervisor}); stop that first" in out
    assert "Traceback" not in out
    assert running.get("health/")["ok"]
    assert before <= {process.pid for process in processes_of(running.data)}


def test_ctrl_c_ends_every_process_and_a_second_start_loses_nothing(running):
    before = running.get("slides/")["results"]
    interrupt(running.process)
    wait_for(lambda: not processes_of(running.data), seconds=30, what="every process to end", every=0.3)
    masks = sorted(running.data.rglob("tissue.png"))
    masks[0].unlink()  # as if an earlier version had prepared the slide
    began = time.monotonic()
    again = start(running.data)
    assert time.monotonic() - began < 60
    try:
        assert (again.name, again.password, again.token) == ("", "", "")  # they are shown once
        again.token = running.token
        assert again.get("slides/")["results"] == before
        wait_for(masks[0].exists, seconds=60, what="the tissue to be measured again")
    finally:
        interrupt(again.process)


def test_a_busy_port_and_a_folder_that_cannot_be_written_end_with_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        out, _ = make_run(tmp_path / "var", port).communicate(timeout=120)
    assert f"Port {port}" in out
    assert "choose another: make run PORT=" in out
    assert "Traceback" not in out
    (tmp_path / "file").write_text("")
    out, _ = make_run(tmp_path / "file" / "var", free_port()).communicate(timeout=120)
    assert "cannot be written" in out
    assert "Traceback" not in out
