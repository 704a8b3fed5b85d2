"""Tables and progress bars: quiet where nobody looks, and never reading data as markup."""

import io
import sys

import pytest

from onesense.cli.screen import clip, print_table, progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_table_shows_cells_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("[red]x[/red]", 1)])
    assert "[red]x[/red]" in capsys.readouterr().out


def test_progress_is_silent_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("indexing") as progress:
        progress(1, 2, "a.jpg")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(("quiet", "is_shown"), [(False, True), (True, False)])
def test_progress_shows_on_a_terminal(monkeypatch: pytest.MonkeyPatch, quiet: bool, is_shown: bool) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar("indexing", quiet=quiet) as progress:
        progress(1, 2, "[odd].jpg")
    assert ("[odd].jpg" in terminal.getvalue()) is is_shown  # a path is never read as markup


@pytest.mark.parametrize(
    ("text", "expected"), [("a\n b\tc", "a b c"), ("x" * 12, "x" * 9 + "…"), ("x" * 10, "x" * 10), ("", "")]
)
def test_clip_gives_one_short_line(text: str, expected: str) -> None:
    assert clip(text, 10) == expected
