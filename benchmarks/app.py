"""How long a visitor waits for the app: from the address to charts and tables drawn, in a real browser.

    python benchmarks/app.py [--coins 1000] [--days 70] [--home FOLDER] [--visits 3]

A simulated market of so many coins is taken in, trained on and forecast (or FOLDER is looked at as it is); then `cryptoliq
app` is started, and each page is opened in windows that know nothing of it. The first visit finds the app's caches empty. Beside each visit a bare Streamlit page with one bar is opened.
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

from playwright.sync_api import sync_playwright
from side_by_side import machine, show

PAGES = {
    "Market": "",
    "Coin": "coin",
    "What if": "what_if",
    "CSV file": "upload",
    "Models": "models",
    "Data health": "health",
}
# Drawn: the title is there, nothing runs, no chart or table still has its place held.
_DRAWN = """() => document.querySelector('h1') && !document.querySelector('[data-testid=stStatusWidget]')
 && !document.querySelector('[data-testid=stSkeleton]')
 && [...document.querySelectorAll('[data-testid=stPlotlyChart]')].every(chart => chart.querySelector('.main-svg'))
 && (!location.pathname.match(/^.(coin|models|health)?$/) || document.querySelector('.main-svg'))"""
_WANTED = 3.0
# What Streamlit and Plotly take by themselves, whatever is shown.
_BARE = """import plotly.graph_objects as go
import streamlit as st

st.title("bare")
st.plotly_chart(go.Figure(go.Bar(x=[1], y=[2])))
"""
_BARE_FLAGS = ("--server.headless=true", "--server.address=127.0.0.1", "--browser.gatherUsageStats=false")


def cryptoliq(*words: str, home: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("cryptoliq")), "--home", str(home), *words]


def seconds_to_draw(browser, url: str) -> float:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    started = time.perf_counter()
    page.goto(url)
    page.wait_for_function(_DRAWN, polling=20, timeout=60_000)
    taken = time.perf_counter() - started
    context.close()
    return taken


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def served(command: list[str], port: int) -> Iterator[None]:
    """A Streamlit server from its first answer on; ended afterwards."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=1000)
    parser.add_argument("--days", type=int, default=70)
    parser.add_argument("--home", type=Path, default=None)
    parser.add_argument("--visits", type=int, default=3)
    args = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home = args.home or Path(folder)
        if args.home is None:
            environment = {**os.environ, "CRYPTOLIQ_CV__N_SPLITS": "2"}
            for words in (["simulate", "--coins", str(args.coins), "--days", str(args.days)], ["materialize"]):
                subprocess.run(cryptoliq(*words, home=home), env=environment, check=True, stdout=subprocess.DEVNULL)
        bare = Path(folder, "bare.py")
        bare.write_text(_BARE, encoding="utf-8")
        ours, theirs = free_port(), free_port()
        streamlit = [sys.executable, "-m", "streamlit", "run", str(bare), f"--server.port={theirs}", *_BARE_FLAGS]
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        with served(cryptoliq("app", "--port", str(ours), home=home), ours), served(streamlit, theirs):
            rows = []
            for name, path in PAGES.items():
                # Side by side, so that whatever else the machine does is in both.
                visits, bares = [], []
                for _ in range(args.visits):
                    visits.append(seconds_to_draw(browser, f"http://127.0.0.1:{ours}/{path}"))
                    bares.append(seconds_to_draw(browser, f"http://127.0.0.1:{theirs}/"))
                later, idle = min(visits[1:], default=visits[0]), min(bares)
                rows.append((name, visits[0], later, idle, later / idle))
        browser.close()
    show(
        f"seconds until a page of {args.home or f'{args.coins:,} coins'} is drawn",
        ["page", "first visit", "later", "bare page", "ratio"],
        rows,
    )
    print(f"\nslowest {max(row[1] for row in rows):.2f} s; wanted: under {_WANTED:.0f} s")


if __name__ == "__main__":
    main()
