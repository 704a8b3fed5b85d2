"""Pictures sorted without training, by the names of the classes alone.

Usage: python examples/zero_shot.py [folder of pictures] [class ...]

Where a name does not say enough, `classify` takes examples of a class: {"ours": [Path("a.jpg"), Path("b.jpg")], ...}.
"""

import sys
import tempfile
from pathlib import Path

from onesense import Collection
from onesense.index import analysis

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-library/library/photos")
names = sys.argv[2:] or ["a cat", "a horse", "a rocket", "a cup of coffee", "grass", "a page of text"]
SURE = 0.75  # share of the softmax; below it a picture is probably of no class that was named

with Collection.open(Path(tempfile.mkdtemp()) / "pictures.json", model="onesense-mini", dim=768) as pictures:
    report = pictures.add([folder])
    rows = analysis.classify(pictures, names)

for row in sorted(rows, key=lambda row: (row.score < SURE, row.label, -row.score)):
    label = row.label if row.score >= SURE else f"unsure, {row.label}?"
    print(f"{label:26} {row.score:4.0%} {Path(row.path).name}")
print(f"{sum(row.score >= SURE for row in rows)} of {len(rows)} sorted, {len(report.failed)} could not be read")
