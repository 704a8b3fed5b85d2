"""docs/server.md: its examples run against a started server, and its table of limits is the code's."""

from __future__ import annotations

import gc
import re
import warnings
from dataclasses import fields
from pathlib import Path

import pytest

from onesense.server.keyfile import read_keys
from onesense.server.settings import ServerLimits

PAGE = (Path(__file__).parents[2] / "docs" / "server.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)


@pytest.mark.parametrize("code", EXAMPLES, ids=[code.split("\n")[0] for code in EXAMPLES])
def test_an_example_runs(url: str, code: str) -> None:
    assert "http://127.0.0.1:8080" in code
    names = {"__name__": "example"}
    exec(compile(code.replace("http://127.0.0.1:8080", url), "server.md", "exec"), names)
    with warnings.catch_warnings():  # an example does not tidy up after itself
        warnings.simplefilter("ignore", ResourceWarning)
        names.clear()
        gc.collect()


def test_the_limits_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE.partition("## Limits")[2], re.M)
    limits = ServerLimits()
    told = {f.name: "none" if (v := getattr(limits, f.name)) is None else str(int(v)) for f in fields(limits)}
    assert dict(rows) == told


def test_the_file_of_keys_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text(re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)[0], encoding="utf-8")
    assert [key.name for key in read_keys(tmp_path / "keys.toml")] == ["alice", "bob"]
