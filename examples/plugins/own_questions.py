"""An evaluation of your own: do your questions find your passages? One file, one object `task`.

`onesense.evals.packs.write_pack` makes the folder of data: in it `own/questions.jsonl` with one
`{"question": …, "passage": …}` a line. Announce the task in a package's pyproject.toml, and
`onesense eval own-questions --data FOLDER --model …` measures any model on it:

    [project.entry-points."onesense.tasks"]
    own-questions = "own_questions:task"
"""

from __future__ import annotations

from onesense.evals.encoder import Encoder
from onesense.evals.packs import Packs
from onesense.evals.task import EvalTask, Result, Scope, retrieval, unique_index
from onesense.types import Task

PACK = "own/questions.jsonl"


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Recall at 1 and 10 of each question's passage among all passages."""
    rows = list(packs.records(PACK))
    passages, place_of = unique_index([row["passage"] for row in rows])
    asked = scope.pick(range(len(rows)))
    questions = encoder.embed([rows[i]["question"] for i in asked], Task.QUESTION_ANSWERING)
    bank = encoder.embed(passages, Task.SEARCH_DOCUMENT)
    return retrieval("question → passage", questions @ bank.T, [place_of[i] for i in asked], (1, 10))


task = EvalTask(
    name="own-questions",
    measures="questions find the passage that answers them",
    split="all rows: nothing of them is trained on",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
