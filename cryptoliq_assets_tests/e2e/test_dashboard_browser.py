"""`cryptoliq app` as its own process, in Chromium, with the window of a desktop and of a phone."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from cryptoliq_assets.dashboard import load_pages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    # The menu collapses automatically only if the browser identifies itself as that of a phone.
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "is_mobile": True,
        "has_touch": True,
        "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36",
    },
}
PAGES = [page.title for page in load_pages().values()]
_TIMEOUT_SECONDS = 60.0


@contextmanager
def app(log: Path, **variables: str) -> Iterator[str]:
    """Run the app as its users start it; yields its URL, and stops it at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("cryptoliq")), "app", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=out, stderr=subprocess.STDOUT)
        try:
            _wait(f"{url}/_stcore/health", process, log)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_TIMEOUT_SECONDS)


def _wait(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not respond:\n{log.read_text()}")


@pytest.fixture(scope="module")
def local_app(trained_home, tmp_path_factory) -> Iterator[str]:
    with app(
        tmp_path_factory.mktemp("app") / "log", CRYPTOLIQ_HOME=str(trained_home.path), CRYPTOLIQ_DASHBOARD__API_URL=""
    ) as url:
        yield url


@pytest.fixture(scope="module")
def service_app(service, tmp_path_factory) -> Iterator[str]:
    """The app of a service; at the end assert that its log does not contain the key."""
    folder = tmp_path_factory.mktemp("service_app")
    log = folder / "log"
    with app(
        log,
        CRYPTOLIQ_HOME=str(folder),
        CRYPTOLIQ_DASHBOARD__API_URL=service.url,
        CRYPTOLIQ_DASHBOARD__API_KEY=service.key,
    ) as url:
        yield url
    assert service.key not in log.read_text()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(params=list(SIZES))
def page(request, browser) -> Iterator[Page]:
    """Open a window of each size; at the end assert that it had no errors and sent requests only to the app."""
    context = browser.new_context(**SIZES[request.param], accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(1000 * _TIMEOUT_SECONDS)
    expect.set_options(timeout=1000 * _TIMEOUT_SECONDS)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if not _is_local(request.url) else None)
    yield page
    context.close()
    assert problems == []


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


def go_to(page: Page, title: str) -> None:
    """Open a page by the menu, which is collapsed on a phone."""
    link = page.get_by_test_id("stSidebarNavLink").filter(has_text=title)
    expand = page.get_by_test_id("stExpandSidebarButton")
    if expand.is_visible():
        expand.click()
    link.click()
    settle(page, title)
    if page.viewport_size["width"] < 768:
        expect(page.get_by_test_id("stSidebar")).to_have_attribute("data-collapsed", "true")


def settle(page: Page, title: str) -> None:
    """Wait until the page is rendered."""
    expect(page.get_by_role("heading", level=1, name=title, exact=True)).to_be_visible()
    expect(page.get_by_test_id("stStatusWidget")).to_have_count(0)
    expect(page.get_by_test_id("stSkeleton")).to_have_count(0)


def check_fits_window(page: Page) -> None:
    """Assert that the page is not wider than the window."""
    overflow, window = page.evaluate(
        "() => { const main = document.querySelector('[data-testid=stMain]');"
        " return [Math.max(main.scrollWidth - main.clientWidth, document.documentElement.scrollWidth - innerWidth),"
        " innerWidth] }"
    )
    assert overflow <= 0, f"{overflow} px beyond a window of {window}"


def check_coin_charts(page: Page) -> None:
    """Assert that history and forecast of a coin are drawn, and use the width."""
    chart = page.locator(".js-plotly-plot").first
    expect(chart.locator(".scatterlayer .trace path.js-line").first).to_be_visible()
    expect(chart.get_by_text("next forecast")).to_be_visible()
    box = chart.bounding_box()
    assert box["width"] > 0.8 * min(page.viewport_size["width"], 900) - 40


def test_every_page_opens_draws_and_fits_the_window(local_app, page):
    page.goto(local_app)
    settle(page, "Market")
    charts = {"Market": 4, "Coin": 3, "Models": 1, "Data health": 1}
    for title in PAGES:
        go_to(page, title)
        # A failed check of the data has an error box as well.
        expect(page.get_by_test_id("stAlertContentError").filter(has_not_text="FAIL:")).to_have_count(0)
        if title in charts:
            expect(page.locator(".js-plotly-plot")).to_have_count(charts[title])
            expect(page.locator(".js-plotly-plot .main-svg").first).to_be_visible()
        if title == "Coin":
            check_coin_charts(page)
        check_fits_window(page)


def test_csv_file_is_uploaded_and_downloaded_with_forecasts(local_app, page, trained_home, tmp_path):
    header, *lines = trained_home.later_files[0].read_text(encoding="utf-8").splitlines()
    path = tmp_path / "rows.csv"
    path.write_text(
        "\n".join([header, *lines[:3], lines[3].replace("2025-08-01", "yesterday")]) + "\n", encoding="utf-8"
    )
    page.goto(local_app)
    settle(page, "Market")
    go_to(page, "CSV file")
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_text("Rejected rows")).to_be_visible()
    with page.expect_download() as started:
        page.get_by_text("Download with forecasts").click()
    assert started.value.suggested_filename == "rows_forecasts.csv"
    rows = Path(started.value.path()).read_text(encoding="utf-8").splitlines()
    assert [bool(row.split(",")[9]) for row in rows[1:]] == [True, True, True, False]
    assert "yesterday" in rows[4].split(",", 15)[-1] or "date" in rows[4]
    check_fits_window(page)


def test_what_if_shows_the_forecast_of_a_service(page, service, service_app):
    page.goto(service_app)
    settle(page, "Market")
    go_to(page, "What if")
    for label, value in (("Price, USD", "1.25"), ("24h volume, USD", "2000000")):
        page.get_by_label(label, exact=True).fill(value)
        page.get_by_label(label, exact=True).press("Tab")
    began = time.time()
    page.get_by_role("button", name="Forecast", exact=True).click()
    expect(page.get_by_text("the row only")).to_be_visible()
    (body,) = service.logged_inputs(began)
    assert (body["price"], body["24h_volume"]) == (1.25, 2e6)
    with service.client() as client:
        answer = client.post("/predict", json=body).json()
    expect(page.get_by_text(f"{answer['lower']:.3f} to {answer['upper']:.3f}")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(1)
    check_fits_window(page)
    # The form has no bounds: a browser would not send the value, and the previous result would remain.
    page.get_by_label("Price, USD", exact=True).fill("-5")
    page.get_by_role("button", name="Forecast", exact=True).click()
    expect(page.get_by_text("Price, USD: Input should be greater than or equal to 1e-18")).to_be_visible()
    expect(page.locator(".js-plotly-plot")).to_have_count(0)
