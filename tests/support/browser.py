"""Debian's Chromium, to look at pages as a person does."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["ASSISTANT", "close_assistant", "missing_browser", "open_browser", "shown", "sign_in", "wait_for"]

_CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
_PATIENCE = 120.0

ASSISTANT = "Ask questions about your"
"""What is written in the panel that MLflow opens."""


def missing_browser() -> str:
    """Return why there is no browser to try; empty if there is one."""
    if not Path(_CHROMIUM).exists():
        return "chromium is not installed (Debian: apt-get install chromium)"
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed (pip install playwright)"
    return ""


@contextmanager
def open_browser(width: int = 1400, height: int = 860, names: Sequence[str] = (), **context: Any) -> Iterator[Any]:
    """Give a page of a fresh browser: no cookies, no memory, and nothing but this machine to reach.

    Args:
        width, height: of the window, in pixels.
        names: that stand for this machine too.
        context: more about the browser, such as http_credentials.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        known = ",".join(f"MAP {name} 127.0.0.1" for name in names)
        arguments = ["--no-sandbox", "--disable-gpu", *([f"--host-resolver-rules={known}"] if known else [])]
        chromium = play.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        page = chromium.new_context(viewport={"width": width, "height": height}, **context).new_page()
        page.set_default_timeout(_PATIENCE * 1000)
        here = {"127.0.0.1", *names}
        page.route(
            "**/*",
            lambda route: route.continue_() if urlsplit(route.request.url).hostname in here else route.abort(),
        )
        try:
            yield page
        finally:
            chromium.close()


def sign_in(page: Any, url: str, login: str) -> None:
    """Sign in to the pages of Prefect's server as USER:PASSWORD."""
    page.goto(url)
    page.locator("input[type=password]").fill(login)
    page.get_by_role("button", name="Login").click()
    page.wait_for_url("**/dashboard**")


def close_assistant(page: Any) -> None:
    """Close the panel that MLflow opens on a first visit; it stays closed."""
    page.get_by_text(ASSISTANT).first.wait_for()
    page.get_by_role("button", name="Close").first.click()
    page.get_by_text(ASSISTANT).first.wait_for(state="hidden")


def wait_for(what: Callable[[], bool]) -> None:
    """Wait for something to be so on a page, which draws itself bit by bit."""
    deadline = time.monotonic() + _PATIENCE
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.3)


def shown(page: Any, selector: str) -> int:
    """Return how many images of a kind are there, loaded and in sight."""
    script = """selector => [...document.querySelectorAll(selector)].filter(image => {
        const box = image.getBoundingClientRect();
        return image.complete && image.naturalWidth > 1 && box.width > 40 && box.height > 20;
    }).length"""
    return int(page.evaluate(script, selector))
