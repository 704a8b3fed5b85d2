"""Everything once: one space for five kinds of media, from single vectors to a searched index.

Usage: onesense demo; python examples/walkthrough.py [demo-library/library]
"""

import sys
import tempfile
from pathlib import Path

from onesense import Collection, Content, Embedder, Part

library = Path(sys.argv[1] if len(sys.argv) > 1 else "demo-library/library")
cat, meow = library / "photos" / "chelsea.png", library / "sounds" / "cat.wav"
embedder = Embedder("onesense-mini")

print("1. One vector for an input of any kind")
inputs = {
    "text": "a cat",
    "image": Part.file(cat),
    "audio": Part.file(meow),
    "PDF": Part.file(library / "documents" / "shop.pdf"),
    "video": Part.file(library / "video" / "reel.mp4"),
}
vectors = embedder.embed(list(inputs.values()))  # float32 [5, 3072], rows of unit length
for kind, vector in zip(inputs, vectors, strict=True):
    print(f"   {kind:6} {vector.shape[0]} numbers, beginning {vector[:3].round(3)}")

print("2. In one space: cosines are dot products")
print(f"   text and picture of a cat {vectors[0] @ vectors[1]:.2f}, text and PDF {vectors[0] @ vectors[3]:.2f}")

print("3. Aggregation: all parts of one content become one vector")
(both,) = embedder.embed([Content("a cat, heard and seen: ", Part.file(cat), Part.file(meow))])
print(f"   nearness to the picture {both @ vectors[1]:.2f}, to the sound {both @ vectors[2]:.2f}")

print("4. Sizes: a vector's beginning is a vector (Matryoshka)")
for dim in (3072, 1536, 768, 256):
    small = embedder.embed(["a cat", Part.file(cat)], dim=dim)
    print(f"   {dim:4} numbers: text and picture {small[0] @ small[1]:.2f}")

print("5. An index in one JSON file, with metadata")
with tempfile.TemporaryDirectory() as folder:
    with Collection.open(Path(folder) / "index.json", model="onesense-mini", dim=768) as index:
        records = [
            {
                "id": f"{path.parent.name}/{path.name}",
                "content": Part.file(path),
                "metadata": {"kind": path.parent.name},
            }
            for kind in ("photos", "sounds")
            for path in sorted((library / kind).iterdir())
        ]
        report = index.add(records)
        print(f"   {len(report.added)} records, {len(report.failed)} failed, {index.path.stat().st_size:,} bytes")
        print("6. Search, across modalities")
        queries = {"the words `a cat`": "a cat", "a sound of a cat": meow, "a photograph of a cat": cat}
        for name, query in queries.items():  # the first three of each
            for kind in ("photos", "sounds"):
                hits = index.search(query, k=3, where={"kind": kind})
                print(f"   {name} in {kind}:", ", ".join(f"{hit.path} {hit.score:.2f}" for hit in hits))
