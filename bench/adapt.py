"""What adapting gains, and what a bridge to the adapted model shows, on terms and definitions of textbooks.

    python bench/adapt.py --data ../shared/data

A thousand pairs are adapted to, none of the development set. A collection of the other definitions, made with the base
model, is previewed over a bridge with terms as queries, and compared with that collection truly embedded again.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
import tempfile
from pathlib import Path

import numpy as np
from _results import record

import onesense
from onesense import Collection, Embedder
from onesense.evals.splits import is_dev_term
from onesense.index import bridge

PACK = "text/openstax_glossary.jsonl.xz"
DIM, K = 768, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the training packs")
    parser.add_argument("--n", type=int, default=1000, help="pairs to adapt to")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with lzma.open(given.data / PACK, "rt", encoding="utf-8") as lines:
        by_term = {row["term"]: row for row in map(json.loads, lines) if not is_dev_term(row["term"])}
    rows = list(by_term.values())
    random.Random(0).shuffle(rows)
    with tempfile.TemporaryDirectory() as folder:
        pairs = [{"query": row["term"], "document": row["definition"]} for row in rows[: given.n]]
        outcome = onesense.adapt(pairs, Path(folder) / "adapted", keep=True)
        others = [{"id": row["term"], "content": row["definition"]} for row in rows[given.n :]]
        found = previewed(Path(folder), outcome.model, others)
    first, last = (f"{outcome.before[d]['ndcg_at_10']:.3f} → {outcome.after[d]['ndcg_at_10']:.3f}" for d in (3072, 128))
    gained = f"held-out nDCG@10 {first} with 3072 numbers, {last} with 128, after {outcome.steps} steps"
    took = f"{outcome.embedding_s:.0f} s to embed {given.n} pairs, {outcome.training_s:.0f} s to train"
    shown = f"bridge: {found['preview']:.0%} of the ten true hits of a term, the old model {found['old']:.0%}"
    summary = f"{gained}; {took}; {shown} (the bridge's own measurement: {found['told']:.0%})"
    record("adapting to terms and definitions", summary, {"outcome": outcome.to_dict(), "bridge": found}, given.json)


def previewed(folder: Path, model: str, items: list[dict[str, str]]) -> dict[str, float]:
    """Share of each term's ten nearest by the new model that the preview finds, and that the old model finds."""
    path = folder / "old.onesense"
    with Collection.open(path, model="onesense-mini", dim=DIM) as old:
        old.add(items)
        queries = [item["id"] for item in items[:200]]
        by_old = [hits(old.vectors, old.rows, vector) for vector in old.embed(queries)]
    learned = bridge.learn(path, model, dim=DIM)
    by_bridge = [[hit.id for hit in bridge.preview(path, learned, query, K)] for query in queries]
    with Embedder(model) as embedder:
        asked = embedder.embed(queries, DIM)
        documents = embedder.embed([item["content"] for item in items], DIM)
    order = np.argsort(-(asked @ documents.T), axis=1, kind="stable")[:, :K]
    true = [{f"{items[i]['id']}#0" for i in row} for row in order]
    told = {"told": learned.quality.overlap, "told_old": learned.quality.old_overlap}
    return told | {"preview": overlap(true, by_bridge), "old": overlap(true, by_old)}


def overlap(true: list[set[str]], found: list[list[str]]) -> float:
    return float(np.mean([len(t & {*f}) / K for t, f in zip(true, found, strict=True)]))


def hits(vectors, rows, vector) -> list[str]:
    ids = sorted(id_ for id_, _ in rows())
    return [ids[i] for i in np.argsort(-(vectors(ids) @ vector), kind="stable")[:K]]


if __name__ == "__main__":
    main()
