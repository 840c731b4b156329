"""What the machine must have for a test to mean anything: a fixture per need, looked up once.

A need that is not met skips the test and says so. In CI (the variable CI is set) it fails it instead, for
there a silent skip would be a hole.
"""

from __future__ import annotations

import os
import shutil

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium, for Playwright's `executable_path`: PLAYGROUND_CHROMIUM, else on PATH."""
    named = os.environ.get("PLAYGROUND_CHROMIUM")
    path = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path:
        return path
    lacking = "no Chromium found: install one, or set PLAYGROUND_CHROMIUM to its path"
    if os.environ.get("CI"):
        pytest.fail(lacking)
    pytest.skip(lacking)
