"""The page in a real browser: click, see the mask change, accept, reload, find the label again."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("monailabel", reason="needs the environment of MONAI Label: make test-label")
sync_api = pytest.importorskip(
    "playwright.sync_api", reason="needs the environment of MONAI Label: make test-label"
)

#: The system's browser, by the names that distributions give it.
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 120_000


@pytest.fixture(scope="module")
def browser():
    if BROWSER is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture
def page(browser, server):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            problems.append(request.url)
            if server.url not in request.url and not request.url.startswith("data:")
            else None
        ),
    )
    page.set_default_timeout(WAIT)
    page.goto(f"{server.url}/angiograms/")
    page.wait_for_function("document.querySelectorAll('#images li').length > 0")
    yield page
    context.close()
    assert problems == []  # no error of a script, nothing from another site


def open_image(page, name: str) -> None:
    page.click(f"#images li[data-image='{name}']")
    page.wait_for_function(f"document.querySelector('#status').textContent.startsWith('{name}: opened')")


def area(page) -> int:
    found = re.search(r"(\d+) px", page.inner_text("#objects li.current .area"))
    return int(found[1]) if found else 0


def wait_for_mask(page) -> None:
    page.wait_for_function("/px in/.test(document.querySelector('#status').textContent)")


def test_click_accept_reload(page, server, tmp_path) -> None:
    open_image(page, "picture1")
    place = page.locator("#canvas").bounding_box()
    middle = (place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
    before = page.locator("#canvas").screenshot()
    page.mouse.move(middle[0] - 150, middle[1] - 100)
    page.mouse.down()
    page.mouse.move(middle[0] + 150, middle[1] + 100, steps=3)
    page.mouse.up()
    wait_for_mask(page)
    assert page.locator("#canvas").screenshot() != before
    first = area(page)
    page.evaluate("document.querySelector('#status').textContent = ''")
    page.mouse.click(*middle, button="right")
    wait_for_mask(page)
    refined = area(page)
    page.evaluate("document.querySelector('#status').textContent = ''")
    page.keyboard.press("Control+z")
    wait_for_mask(page)
    assert area(page) == first != refined
    page.click("#accept")
    page.wait_for_function("document.querySelector('#status').textContent.includes('saved with 1 object')")
    saved = np.asarray(Image.open(server.studies / "labels" / "final" / "picture1.png"))
    assert (saved == 1).sum() == first
    page.reload()
    page.wait_for_function("document.querySelectorAll('#images li').length > 0")
    assert "labelled" in page.inner_text("#images li[data-image='picture1']")
    open_image(page, "picture1")
    assert area(page) == first


def test_everything_by_keyboard(page) -> None:
    page.focus("#images")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("/opened/.test(document.querySelector('#status').textContent)")
    page.focus("#canvas")
    for key in (
        "Shift+ArrowLeft",
        "ArrowUp",
        "x",
        "Shift+ArrowRight",
        "Shift+ArrowRight",
        "Shift+ArrowDown",
        "x",
    ):
        page.keyboard.press(key)
    wait_for_mask(page)
    page.keyboard.press("a")
    assert page.locator("#objects li").count() == 2
    page.keyboard.press("f")
    wait_for_mask(page)
    page.keyboard.press("+")
    page.keyboard.press("0")
    names = page.locator("button, select, input").evaluate_all(
        "all => all.filter(one => !(one.innerText || one.ariaLabel || one.labels?.length)).length"
    )
    assert names == 0  # each control has a name
    page.evaluate("window.onbeforeunload = null")


def test_a_vessel_is_traced_and_stenoses_are_listed(page) -> None:
    open_image(page, "phantom")
    page.keyboard.press("t")
    place = page.locator("#canvas").bounding_box()
    scale = min(place["width"], place["height"]) / 512
    left, top = (place[a] + (place[b] - 512 * scale) / 2 for a, b in (("x", "width"), ("y", "height")))
    for x, y in ((250, 120), (300, 300)):
        page.mouse.click(left + scale * x, top + scale * y)
    page.wait_for_function("/traced/.test(document.querySelector('#status').textContent)")
    assert area(page) > 100
    page.click("#analyse")
    page.wait_for_function("/: \\d+ stenos/.test(document.querySelector('#status').textContent)")
    assert page.inner_text("#lesions").strip()
    page.click("#take")
    assert area(page) > 1000


@pytest.mark.parametrize("width", [1280, 1920])
def test_nothing_overflows(page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    sizes = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert sizes[0] <= width and sizes[1] <= 800
    assert page.locator("#accept").is_visible()
    canvas = page.locator("#canvas").bounding_box()
    assert canvas["width"] > 0.4 * width
