"""Where a measurement is written: a JSON file, and a row of bench/RESULTS.md that says how to get it again."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
TABLE = HERE / "RESULTS.md"
HEAD = """# Measurements

Ratios come from one run, its rounds interleaved, so that a busy machine slows both sides alike; values are medians.

| date | question | result | commit | command | machine |
|---|---|---|---|---|---|
"""


def record(question: str, summary: str, measured: dict[str, Any], out: Path | None) -> None:
    """Print the measurement, append its row to the table, and write its JSON.

    Args:
        question: what was asked, a few words.
        summary: the answer in one line, for the table.
        measured: everything, for the JSON.
        out: JSON file; None leaves it at the printed one.
    """
    facts = {"question": question, "date": f"{datetime.now(UTC):%Y-%m-%d}", "commit": commit()}
    facts |= {"command": command(), "machine": machine()}
    text = json.dumps(facts | measured, indent=1)
    print(text)
    if out is not None:
        out.write_text(text + "\n", encoding="utf-8")
    if not TABLE.exists():
        TABLE.write_text(HEAD, encoding="utf-8")
    cells = (facts["date"], question, summary, facts["commit"], f"`{facts['command']}`", facts["machine"])
    row = "| " + " | ".join(cells) + " |\n"
    print(row)
    with TABLE.open("a", encoding="utf-8") as table:
        table.write(row)


def spread(values: list[float], digits: int = 2) -> dict[str, Any]:
    """Median, 95th percentile and number of repeated measurements."""
    middle, high = np.percentile(values, (50, 95))
    return {"median": round(float(middle), digits), "p95": round(float(high), digits), "runs": len(values)}


def commit() -> str:
    """Short hash of the working tree's commit, with `+` where files differ from it."""
    git = ["git", "-C", str(HERE)]
    found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    dirty = subprocess.run([*git, "diff", "--quiet", "HEAD"], check=False).returncode
    return (found.stdout.strip() or "unknown") + ("+" if dirty else "")


def command() -> str:
    """The command line of this process, from the project's folder; of other folders' files only the names."""
    script = Path(sys.argv[0]).resolve()
    shown = script.relative_to(HERE.parent) if script.is_relative_to(HERE.parent) else script.name
    return shlex.join(["python", str(shown), *(Path(a).name if Path(a).is_absolute() else a for a in sys.argv[1:])])


def machine() -> str:
    """Processor, cores that this process may use, and how busy they were."""
    name = platform.processor() or platform.machine()
    cpus = Path("/proc/cpuinfo")
    if cpus.is_file():
        models = [line.partition(":")[2].strip() for line in cpus.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
