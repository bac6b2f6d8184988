"""Pages in a real Chromium over a server in this process, with made slides and runs: no detection to wait for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client

from webapp.annotations.models import Run
from webapp.slides.models import Slide

# Playwright keeps an event loop in this thread; Django then takes every query for one of asynchronous code.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


_LONG = ("test_chaos.py", "test_make_run.py")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that in the end no process waits for another one."""
    items.sort(key=lambda item: item.path.name not in _LONG)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """A drawn piece of tissue, 2048 x 2048."""
    from detector.slide import open_slide
    from detector.slide.drawn import draw_slide

    path = tmp_path_factory.mktemp("drawn") / "tissue.tif"
    draw_slide(path, size=1024, figures=12, seed=4)
    with open_slide(path) as slide:
        quarter = slide.read(0, 0, 0, 1024, 1024)
    half = np.hstack([quarter, quarter[:, ::-1]])
    return np.vstack([half, half[::-1]])


@pytest.fixture
def slide(transactional_db: None, make_slide: Callable[..., Slide], drawn: np.ndarray) -> Slide:
    """A slide to read."""
    return make_slide(name="B-17.tif", image=drawn)


@pytest.fixture
def run(slide: Slide, make_run: Callable[..., Run]) -> Run:
    """40 candidates in rows of eight, from score 0.98 down to 0.2."""
    places = [(200 + 210 * (i % 8), 250 + 350 * (i // 8)) for i in range(40)]
    return make_run(slide, [(x, y, round(0.98 - 0.02 * i, 2)) for i, (x, y) in enumerate(places)])


@pytest.fixture
def open_as(browser: Any, live_server: Any) -> Iterator[Callable[..., Any]]:
    """Open a page as somebody; whatever the page's console complains of fails the test, unless it is allowed."""
    contexts, troubles = [], []

    def open_page(user: User, path: str, *, allow: tuple[str, ...] = (), **options: Any) -> Any:
        client = Client()
        client.force_login(user)
        options = {"viewport": {"width": 1280, "height": 800}, **options}
        context = browser.new_context(**options)
        contexts.append(context)
        context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on(
            "console",
            lambda message: (
                message.type == "error"
                and not any(words in message.text for words in allow)
                and troubles.append(message.text)
            ),
        )
        page.goto(live_server.url + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not troubles


@pytest.fixture
def open_slide(run: Run, open_as: Callable[..., Any]) -> Callable[..., Any]:
    """Open the page of `run` as somebody, with its list. counted: by AI, once the server has said so; None: any."""

    def open_slide(user: User, *, counted: int | None = 25, **options: Any) -> Any:
        page = open_as(user, f"/slides/{run.slide_id}/", **options)
        page.wait_for_selector("body[data-candidates='40']")
        page.wait_for_selector("#gallery li")
        if counted is not None:
            page.wait_for_selector(f"[data-number='ai-count']:has-text('{counted}')")
        return page

    return open_slide
