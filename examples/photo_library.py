"""A library of photographs, searched by words, by a photograph, and by a photograph with words.

Usage: python examples/photo_library.py [folder of pictures] [where the index is kept]
"""

import sys
import tempfile
from pathlib import Path

from onesense import Collection, Content, Part

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-library/library/photos")
place = Path(sys.argv[2] if len(sys.argv) > 2 else Path(tempfile.mkdtemp()) / "photos.onesense")

with Collection.open(place, model="onesense-mini") as photos:
    report = photos.add([folder])  # only what is new or changed, when run again
    print(f"{len(report.added)} new, {len(report.unchanged)} unchanged, {len(report.failed)} could not be read")
    for failure in report.failed:
        print("  ", failure)

    print("by words, in any of 100 languages:")
    for words in ("a cat", "una taza de café", "ein Pferd"):
        print(f"   {words}: {Path(photos.search(words, k=1)[0].path).name}")

    first = min(folder.iterdir())
    print(f"like {first.name}:")
    for hit in photos.search(like=str(first), k=3):
        print(f"   {hit.score:.2f} {Path(hit.path).name}")

    print(f"{first.name} and words, one query:")
    for hit in photos.search(Content(Part.file(first), "a rocket"), k=3):
        print(f"   {hit.score:.2f} {Path(hit.path).name}")

    print("only pictures at least 600 pixels wide:")
    for hit in photos.search("a wide view", k=3, where={"width": {"gte": 600}}):
        print(f"   {Path(hit.path).name}, {hit.facts['width']} x {hit.facts['height']}")
