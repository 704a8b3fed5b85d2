"""What tests do with a page of the Studio."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import Any

import httpx
import pytest

EVIL = "<img src=x onerror=window.evil=1>.txt"
"""A file name that is a trap for who writes names as HTML."""
SCREENSHOTS = os.environ.get("STUDIO_SCREENSHOTS")
"""Folder for pictures of the Studio, see test_studio_screens.py."""


def api(method: str, address: str, **wanted: Any) -> Any:
    """Ask a server beside the page, with the patience that a busy machine needs; its JSON."""
    return httpx.request(method, address, timeout=120, **wanted).raise_for_status().json()


def settled(page: Any) -> None:
    """Wait until nothing is busy and what fades in is there."""
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(400)


def ask(page: Any, words: str) -> None:
    """Type a query and wait for its hits."""
    page.fill(".query-words", words)
    page.press(".query-words", "Enter")
    page.wait_for_selector(".results-line")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")


def question(page: Any, words: str) -> Any:
    """Ask a question and wait for the end of its answer; the turn."""
    page.fill(".ask-bar textarea", words)
    page.press(".ask-bar textarea", "Enter")
    page.wait_for_selector(f".turn:has-text('{words}')")
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')")
    return page.locator(".turn").last


def names(page: Any) -> list[str]:
    """File names of the hits, in order."""
    return [re.sub(r"\s+", " ", text).strip() for text in page.locator(".tile-name").all_inner_texts()]


def run_code(language: str, code: str) -> str:
    """Run what "Get code" gave, as who copies it would; what it prints."""
    node = ["node", "--input-type=module", "-e", code]
    command = {"Python": [sys.executable, "-c", code], "JavaScript": node, "curl": ["sh", "-c", code]}[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
