"""Document pages: does a question find the page on which the answering table is printed?"""

from __future__ import annotations

from ...types import Part
from ..draw import table_page
from ..encoder import Encoder
from ..packs import Packs
from ..task import EvalTask, Result, Scope, retrieval
from .tables import QUESTIONS, TABLES, dev_questions, dev_tables

MOST_PAGES = 100


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@5 and R@1 over pages with a text layer, then over the same pages as pictures only."""
    tables = scope.pick(dev_tables(packs), MOST_PAGES)
    place = {table["id"]: i for i, table in enumerate(tables)}
    first = {row["table"]: row for row in reversed(dev_questions(packs, tables))}  # the first question of each table
    questions = [first[table] for table in place if table in first]
    asked = encoder.embed(row["question"] for row in questions)
    right = [place[row["table"]] for row in questions]
    results = []
    for title, text_layer in (("text layer", True), ("image only", False)):
        pages = encoder.embed(Part(table_page(table, text_layer=text_layer)) for table in tables)
        results += retrieval(f"question → page, {title}", asked @ pages.T, right, (5, 1))
    return results


task = EvalTask(
    name="pdf",
    measures="questions find the drawn page with the answering table, with a text layer and as a picture only",
    split="100 evenly spread development tables of the task `tables`, the first question of each",
    prompts=("{text}",),
    packs=(TABLES, QUESTIONS),
    run=run,
)
