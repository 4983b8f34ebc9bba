"""A browser without a window: Debian's Chromium, one for all tests of a module."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


def program() -> str:
    """The browser's program; skips the test loudly where there is none, and fails it under CI=true."""
    found = os.environ.get("KAFKA_SALVAGE_CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found:
        return found
    why = "NO CHROMIUM HERE: the page of `check --html` is not looked at (Debian: apt-get install chromium)"
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    sys.stderr.write(f"\n{why}\n")
    pytest.skip(why)


@contextmanager
def browser() -> Iterator[Browser]:
    """A running browser; nothing is downloaded."""
    where = program()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=where, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield running
        finally:
            running.close()


class Watched:
    """A page that was opened from a file, and all that it complained of or asked for."""

    def __init__(self, browser: Browser, path: Path, *, dark: bool = False) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(
            viewport={"width": 1280, "height": 900}, color_scheme="dark" if dark else "light"
        )
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def count(self, selector: str) -> int:
        """How many elements a selector finds."""
        return self.page.locator(selector).count()

    def texts(self, selector: str) -> list[str]:
        """What they say."""
        return self.page.locator(selector).all_inner_texts()
