"""WikiTableQuestions: does a question find the table that answers it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..encoder import Encoder
from ..metrics import mrr, ndcg_at
from ..packs import Packs
from ..splits import is_dev_table
from ..task import EvalTask, Result, Scope, retrieval

TABLES = "text/wtq_tables_train.jsonl.xz"
QUESTIONS = "text/wtq_questions_train.tsv.xz"
HEAD_ROWS = 12  # with title, heading and caption about 250 pieces: what a model of 512 positions reads
MOST_QUESTIONS = 600

Table = Mapping[str, Any]


def dev_tables(packs: Packs) -> list[Table]:
    """The tables of the development split, in the order of the pack."""
    return [table for table in packs.records(TABLES) if is_dev_table(table["id"])]


def dev_questions(packs: Packs, tables: Sequence[Table]) -> list[dict[str, str]]:
    """The questions about these tables, in the order of the pack."""
    wanted = {table["id"] for table in tables}
    return [row for row in packs.rows(QUESTIONS) if row["table"] in wanted]


def render(table: Table) -> str:
    """A table as text: title, heading, caption, then the header and first rows of its CSV, a line each."""
    head = "\n".join(table["csv"].split("\n")[: 1 + HEAD_ROWS])
    return "\n".join(line for line in (table["title"], table["heading"], table["caption"], head) if line)


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Recall, MRR and nDCG of the right table among all development tables."""
    tables = dev_tables(packs)
    place = {table["id"]: i for i, table in enumerate(tables)}
    questions = scope.pick(dev_questions(packs, tables), MOST_QUESTIONS)
    scores = encoder.embed([q["question"] for q in questions]) @ encoder.embed(map(render, tables)).T
    right = [place[q["table"]] for q in questions]
    name = "question → table"
    return [
        *retrieval(name, scores, right, (1, 10)),
        Result(name, "MRR", mrr(scores, right), len(right)),
        Result(name, "nDCG@10", ndcg_at(scores, right, 10), len(right)),
    ]


task = EvalTask(
    name="tables",
    measures="questions find the Wikipedia table that answers them (text)",
    split="tables whose sha256(id) starts with a byte divisible by 10, and their questions (at most 600)",
    prompts=("{text}", "{title}\\n{heading}\\n{caption}\\n{header and 12 rows of the csv}"),
    packs=(TABLES, QUESTIONS),
    run=run,
)
