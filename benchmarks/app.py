"""Measure how long the pages of the app take to load in a browser, until charts and tables are drawn.

    python benchmarks/app.py [--coins 1000] [--days 70] [--home FOLDER] [--visits 3]

A simulated market of this many coins is ingested, trained on and forecast (or FOLDER is used unchanged); then `cryptoliq
app` is started, and each page is opened in new browser contexts. At the first visit the caches of the app are empty. For
comparison, a bare Streamlit page with one bar is opened after each visit.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from side_by_side import describe_machine, print_table

PAGES = {
    "Market": "",
    "Coin": "coin",
    "What if": "what_if",
    "CSV file": "upload",
    "Models": "models",
    "Data health": "health",
}
# Drawn: the title exists, nothing is running, no chart or table has a placeholder.
_DRAWN = """() => document.querySelector('h1') && !document.querySelector('[data-testid=stStatusWidget]')
 && !document.querySelector('[data-testid=stSkeleton]')
 && [...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(chart => chart.querySelector('.main-svg'))
 && (!location.pathname.match(/^.(coin|models|health)?$/) || document.querySelector('.main-svg'))"""
_TARGET_SECONDS = 3.0
# A page without content of ours: the time that Streamlit and Plotly need for any page.
_BARE = """import plotly.graph_objects as go
import streamlit as st

st.title("bare")
st.plotly_chart(go.Figure(go.Bar(x=[1], y=[2])))
"""
_BARE_FLAGS = ("--server.headless=true", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false")


def make_command(*words: str, home: Path) -> list[str]:
    """Return the command line of a `cryptoliq` command."""
    return [str(Path(sys.executable).with_name("cryptoliq")), "--home", str(home), *words]


def measure_page(browser: Browser, url: str) -> float:
    """Return the seconds until a page is drawn in a new browser context."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    started = time.perf_counter()
    page.goto(url)
    page.wait_for_function(_DRAWN, polling=20, timeout=60_000)
    seconds = time.perf_counter() - started
    context.close()
    return seconds


def find_free_port() -> int:
    """Return a TCP port that no process uses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def run_server(command: list[str], port: int) -> Iterator[None]:
    """Run a Streamlit server; yields after its first response, and stops it at the end."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Measure all pages and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=1000)
    parser.add_argument("--days", type=int, default=70)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--visits", type=int, default=3)
    args = parser.parse_args()
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = args.home or Path(folder)
        if args.home is None:
            environment = {**os.environ, "CRYPTOLIQ_CV__N_SPLITS": "2"}
            for words in (["simulate", "--coins", str(args.coins), "--days", str(args.days)], ["materialize"]):
                subprocess.run(make_command(*words, home=home), env=environment, check=True, stdout=subprocess.DEVNULL)
        bare = Path(folder, "bare.py")
        bare.write_text(_BARE, encoding="utf-8")
        app_port, bare_port = find_free_port(), find_free_port()
        streamlit = [sys.executable, "-m", "streamlit", "run", str(bare), f"--server.port={bare_port}", *_BARE_FLAGS]
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        with (
            run_server(make_command("app", "--port", str(app_port), home=home), app_port),
            run_server(streamlit, bare_port),
        ):
            rows = []
            for name, path in PAGES.items():
                # Alternating, so that other load on the machine affects both.
                page_seconds, bare_seconds = [], []
                for _ in range(args.visits):
                    page_seconds.append(measure_page(browser, f"http://127.0.0.1:{app_port}/{path}"))
                    bare_seconds.append(measure_page(browser, f"http://127.0.0.1:{bare_port}/"))
                later, bare_page = min(page_seconds[1:], default=page_seconds[0]), min(bare_seconds)
                rows.append((name, page_seconds[0], later, bare_page, later / bare_page))
        browser.close()
    print_table(
        f"seconds until a page of {args.home or f'{args.coins:,} coins'} is drawn",
        ["page", "first visit", "later", "bare page", "ratio"],
        rows,
    )
    print(f"\nslowest {max(row[1] for row in rows):.2f} s; target: under {_TARGET_SECONDS:.0f} s")


if __name__ == "__main__":
    main()
