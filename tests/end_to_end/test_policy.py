"""What the policy of the pages forbids does not happen in a browser."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import sign_in
from tests.security.test_matrix import ALL

# Each is what somebody who could put text into a page would put there; it answers whether it has worked.
ATTACKS = {
    "base-uri": "() => { document.head.append(make('base', {href: 'https://example.org/'}));"
    " return !document.baseURI.startsWith(location.origin) }",
    "script-src-elem": "() => { window.hit = 0; document.body.append(make('script', {textContent: 'window.hit = 1'}));"
    " return window.hit === 1 }",
    "script-src-attr": "() => { window.hit = 0; const button = make('button', {});"
    " button.setAttribute('onclick', 'window.hit = 1'); document.body.append(button); button.click();"
    " return window.hit === 1 }",
    "style-src-elem": "() => { document.head.append(make('style', {textContent: 'body { opacity: 0.5 }'}));"
    " return getComputedStyle(document.body).opacity === '0.5' }",
    "style-src-attr": "() => { const box = make('div', {innerHTML: '<p style=\"opacity: 0.5\">x</p>'});"
    " document.body.append(box); return getComputedStyle(box.firstChild).opacity === '0.5' }",
    "script-src": "() => new Promise((done) => setTimeout(() => {"
    " try { done(eval('1') === 1) } catch { done(false) } }))",
    "connect-src": "async () => { try { await fetch('https://example.org/'); return true } catch { return false } }",
    "img-src": "() => new Promise((done) => { const image = new Image(); image.onload = () => done(true);"
    " image.onerror = () => done(false); image.src = 'https://example.org/x.png'; })",
    "form-action": "() => { const form = make('form', {action: 'https://example.org/', method: 'post'});"
    " document.body.append(form); form.submit(); return false }",
    "frame-src": "() => { document.body.append(make('iframe', {src: 'https://example.org/'})); return false }",
}
BEFORE = """
window.refused = [];
window.make = (kind, fields) => Object.assign(document.createElement(kind), fields);
document.addEventListener("securitypolicyviolation", (event) => window.refused.push(event.effectiveDirective));
"""


@pytest.fixture
def page(browser: Any, live_server: Any, root: Any, make_slide: Any) -> Any:
    root.set_password("a password of hers")
    root.save()
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.add_init_script(BEFORE)
    page.set_default_timeout(15_000)
    sign_in(page, live_server.url, "root", "a password of hers")
    page.slide = make_slide(mpp=0.25)
    yield page
    context.close()


@pytest.mark.parametrize("where", ["/slides/{slide}/", *(["/", "/models/", "/tokens/", "/audit/"] if ALL else [])])
def test_what_is_put_into_a_page_does_not_run(page, live_server, where):
    address = live_server.url + where.format(slide=page.slide.pk)
    for directive, attack in ATTACKS.items():
        page.goto(address)
        page.evaluate("() => { window.refused.length = 0 }")
        assert not page.evaluate(attack), f"{directive} on {where}"
        page.wait_for_function("(what) => window.refused.includes(what)", arg=directive)
        assert page.url.partition("#")[0] == address


def test_no_page_is_framed_by_another_site(page, live_server):
    page.goto("about:blank")
    page.set_content(f"<iframe src='{live_server.url}/login/'></iframe>")
    page.frames[1].wait_for_url("chrome-error:**")
