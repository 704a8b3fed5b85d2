"""Task prompts: what naming the task of a query and of a document changes, on sets that other tasks measure bare."""

from __future__ import annotations

from collections.abc import Sequence

from ...types import Array, Content
from ..encoder import Encoder
from ..metrics import spearman
from ..packs import Packs
from ..task import EvalTask, Result, Scope, retrieval
from .sts import PACK as STS
from .sts import cosines, pairs_by_language
from .tables import QUESTIONS, TABLES, Table, dev_questions, dev_tables, render

PAIRS: tuple[tuple[str | None, str | None], ...] = (
    ("search query", "search document"),
    (None, None),
    ("question answering", "search document"),
    (None, "search document"),
)
"""Task of the question, task of the table."""
RAW = ("task: search result | query: {text}", "title: {title} | text: {text}")
"""Gemini's own strings left in the text, no task named: what a client that adds them itself gets."""
SYMMETRIC: tuple[str | None, ...] = (None, "sentence similarity", "clustering", "classification", "search query")
MOST_TABLES, MOST_QUESTIONS, MOST_PAIRS = 80, 240, 250


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Question to table under each pair of tasks and with raw strings, then STS-B English under each task."""
    tables = scope.pick(dev_tables(packs), MOST_TABLES)
    place = {table["id"]: i for i, table in enumerate(tables)}
    asked = scope.pick(dev_questions(packs, tables), MOST_QUESTIONS)
    questions, right = [row["question"] for row in asked], [place[row["table"]] for row in asked]
    results: list[Result] = []
    for of_query, of_document in PAIRS:
        documents = [_document(table) for table in tables]
        scores = encoder.embed(questions, of_query) @ encoder.embed(documents, of_document).T
        results += retrieval(f"question → table, {of_query or 'none'} / {of_document or 'none'}", scores, right, (1,))
    results += retrieval("question → table, raw strings", _raw_scores(encoder, questions, tables), right, (1,))
    return results + _symmetric(encoder, packs, scope)


def _document(table: Table) -> Content:
    return Content(render(table), title=table["title"])


def _raw_scores(encoder: Encoder, questions: Sequence[str], tables: Sequence[Table]) -> Array:
    documents = [RAW[1].replace("{title}", t["title"]).replace("{text}", render(t)) for t in tables]
    scores: Array = encoder.embed(RAW[0].replace("{text}", q) for q in questions) @ encoder.embed(documents).T
    return scores


def _symmetric(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    rows = scope.pick(pairs_by_language(packs)["en"], MOST_PAIRS)
    scores = [float(row["score"]) for row in rows]
    return [
        Result(
            f"STS-B English, {name or 'none'}",
            "Spearman",
            spearman(cosines(encoder, rows, name), scores),
            len(rows),
            0.0,
        )
        for name in SYMMETRIC
    ]


task = EvalTask(
    name="prompts",
    measures="the same sets with the task of query and document named, bare, and with Gemini's strings in the text",
    split="80 evenly spread development tables with up to 240 questions; 250 English pairs of STS-B dev",
    prompts=(*(f"{q or 'none'} / {d or 'none'}" for q, d in PAIRS), *RAW),
    packs=(TABLES, QUESTIONS, STS),
    run=run,
)
