"""What each way to store vectors loses: recall@10 against float32 on the vectors of a collection of your own.

    python bench/dtypes.py media.onesense [--queries 300]

Rows of the collection are the queries, each without itself among its neighbours; bytes are those of one vector.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import numpy as np

from onesense import Collection
from onesense.index.stores._dtypes import DTYPES, decode, encode
from onesense.types import Array

K = 10


def neighbours(queries: Array, places: Array, rows: Array) -> list[set[int]]:
    """The K nearest rows of each query, itself left out."""
    scores = queries @ rows.T
    scores[np.arange(len(queries)), places] = -np.inf
    return [set(np.argpartition(-line, K)[:K].tolist()) for line in scores]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection")
    parser.add_argument("--queries", type=int, default=300)
    options = parser.parse_args()
    for line in table(options.collection, options.queries):
        sys.stdout.write(line + "\n")


def table(path: str, n_queries: int) -> Iterator[str]:
    """Lines of Markdown."""
    with Collection.open(path, create=False) as collection:
        ids = [row_id for row_id, _ in collection.rows()]
        rows = collection.vectors(ids)
    places = np.random.default_rng(0).permutation(len(rows))[:n_queries]
    true = neighbours(rows[places], places, rows)
    yield f"{len(rows)} rows of {rows.shape[1]} dimensions, {len(places)} queries"
    yield "| dtype | bytes a vector | recall@10 |"
    yield "|---|---:|---:|"
    for dtype in DTYPES:
        stored = encode(rows, dtype)
        found = neighbours(rows[places], places, decode(stored, dtype, rows.shape[1]))
        recall = np.mean([len(a & b) / K for a, b in zip(true, found, strict=True)])
        yield f"| {dtype} | {stored[0].nbytes:,} | {recall:.3f} |"


if __name__ == "__main__":
    main()
