"""Pictures that are there more than once: copies, smaller ones, and ones that were saved again.

Usage: python examples/duplicates.py [folder of pictures] [cosine from which two count as the same, 0.95]
"""

import sys
import tempfile
from pathlib import Path

from onesense import Collection
from onesense.index import analysis

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-library/library/photos")
threshold = float(sys.argv[2]) if len(sys.argv) > 2 else analysis.SAME

with Collection.open(Path(tempfile.mkdtemp()) / "pictures.onesense", model="onesense-mini") as pictures:
    pictures.add([folder])
    groups = analysis.duplicates(pictures, threshold, where={"modality": "image"})
    for group in groups:
        keep = max(group, key=lambda row: Path(row.path).stat().st_size)  # the largest file has most of the picture
        print(f"keep {Path(keep.path).name}")
        for row in group:
            if row is not keep:
                print(f"   like it ({row.score:.3f}): {Path(row.path).name}")
    print(f"{sum(map(len, groups)) - len(groups)} of {pictures.count()} pictures are there already")
