"""The demo page, as a user sees it: in a browser, and without a network."""

import functools
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import kattn
from kattn.demo_examples import EXAMPLES
from kattn.models import TextClassifier

ROOT = Path(kattn.__file__).resolve().parent.parent
BROWSERS = "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"
PRESETS = "han_bbc_en", "abcnn_sick_en"
load = functools.cache(TextClassifier.from_preset)
START = """
import sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[1] if event == "socket.connect" else arguments
        host = host[0] if isinstance(host, tuple) else host
        if host not in ("127.0.0.1", "::1", "localhost", b"127.0.0.1", b"localhost"):
            with open(sys.argv[1], "a") as file:
                print(event, arguments, file=file)

sys.addaudithook(watch)
from kattn.__main__ import main
main(["demo", *sys.argv[2:]])
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The page, served by a process that notes whom it calls."""
    pytest.importorskip("gradio", reason="the extra `demo` is not installed")
    folder = tmp_path_factory.mktemp("demo")
    calls, log = folder / "calls", folder / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", START, calls, *PRESETS, "--port", str(port)]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
        ) as server,
    ):
        try:
            said = server.stdout.readline()
            assert f"http://127.0.0.1:{port}/" in said, log.read_text()
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()
    assert not calls.exists(), calls.read_text()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed"
    )
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is no browser: {', '.join(BROWSERS)}")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=flags)
        yield opened
        opened.close()


@pytest.fixture(params=[(1280, "light"), (400, "dark")], ids=lambda x: x[1])
def page(browser, url, request):
    width, scheme = request.param
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    page.set_default_timeout(120_000)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
    assert asked and not [x for x in asked if not x.startswith((url, "data:"))]


def expect(page, name, *texts):
    """That the page comes to show what the classifier explains."""
    given = [[text] for text in texts]
    (one,) = load(name).explain(tuple(given) if len(texts) > 1 else given[0])
    verdict = f"predicted {one.label}, {one.probability:.1%}"
    page.locator(".kattn h2", has_text=verdict).wait_for()
    assert page.get_by_test_id("label-output-value").inner_text().strip() == one.label
    shown = page.locator("[data-testid$='-confidence-set']").all_inner_texts()
    ranked = sorted(one.probabilities, key=one.probabilities.get, reverse=True)
    for line, label in zip(shown, ranked, strict=True):
        assert re.findall(r"\S+", line)[0] == label
        assert f"{round(100 * one.probabilities[label])}%" in line
    tokens = [token for field in one.texts for token in one.tokens(field)]
    marks = page.locator(".kattn mark")
    assert marks.all_inner_texts() == [token.text for token in tokens]
    most = max(token.weight for token in tokens)
    shades = marks.evaluate_all(
        "all => all.map(x => getComputedStyle(x).getPropertyValue('--w'))"
    )
    expected = [token.weight / most for token in tokens]
    assert list(map(float, shades)) == pytest.approx(expected, abs=0.02)
    strongest = marks.nth(expected.index(1.0))
    assert strongest.evaluate("x => getComputedStyle(x).backgroundColor").startswith(
        "rgb("  # without an alpha: the full colour
    )


def test_a_text_and_a_pair(page, tmp_path):
    expect(page, "han_bbc_en", *EXAMPLES["bbc"][0])
    text = "The striker scored twice 🎉, and <b>United</b> won ${the} cup. 好！"
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Read it").click()
    expect(page, "han_bbc_en", text)
    page.screenshot(path=tmp_path / "text.png", full_page=True)

    page.get_by_label("Text", exact=True).fill(" \n ")
    page.get_by_role("button", name="Read it").click()
    page.get_by_text("Type or paste a text, or pick an example.").wait_for()
    page.get_by_label("Text", exact=True).fill("word " * 30_000)
    page.get_by_role("button", name="Read it").click()
    page.get_by_text("up to 100,000 characters. Received: 150,000").wait_for()
    page.get_by_role("button", name=EXAMPLES["bbc"][1][0][:40]).click()
    expect(page, "han_bbc_en", *EXAMPLES["bbc"][1])

    page.get_by_label("Model").click()
    page.get_by_role("option", name="abcnn_sick_en").click()
    expect(page, "abcnn_sick_en", *EXAMPLES["sick"][0])
    pair = "A man is sleeping.", "Nobody is asleep."
    page.get_by_label("Premise").fill(pair[0])
    page.get_by_label("Hypothesis").fill(pair[1])
    page.get_by_role("button", name="Read it").click()
    expect(page, "abcnn_sick_en", *pair)
    page.screenshot(path=tmp_path / "pair.png", full_page=True)
    page.get_by_label("Hypothesis").fill("")
    page.get_by_role("button", name="Read it").click()
    page.get_by_text("Type or paste both texts").wait_for()
