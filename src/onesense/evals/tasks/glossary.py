"""Textbook glossaries: does a definition find its term, and a question about a term its definition?"""

from __future__ import annotations

from ..encoder import Encoder
from ..packs import Packs
from ..splits import is_dev_term
from ..task import EvalTask, Result, Scope, places, retrieval, unique_index

PACK = "text/openstax_glossary.jsonl.xz"
QUESTION = "what is {text}?"


def dev_entries(packs: Packs) -> list[tuple[str, str]]:
    """Term and definition of the development entries."""
    return [(row["term"], row["definition"]) for row in packs.records(PACK) if is_dev_term(row["term"])]


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Both directions; a term with several definitions accepts each of them, and the other way round."""
    entries = dev_entries(packs)
    terms, term_of = unique_index([term for term, _ in entries])
    definitions, definition_of = unique_index([definition for _, definition in entries])
    places_of_term = places([str(i) for i in term_of])
    asked = scope.pick(range(len(terms)))
    questions = encoder.embed(QUESTION.replace("{text}", terms[t]) for t in asked)
    bank = encoder.embed(definitions)
    answers = [[definition_of[i] for i in places_of_term[str(t)]] for t in asked]
    forward = retrieval("question → definition", questions @ bank.T, answers, (1, 10))
    picked = scope.pick(range(len(entries)))
    names = encoder.embed(terms)
    backward = bank[[definition_of[i] for i in picked]] @ names.T
    return [*forward, *retrieval("definition → term", backward, [term_of[i] for i in picked], (1, 10))]


task = EvalTask(
    name="glossary",
    measures="questions find the textbook passage that defines their term, definitions find their term",
    split="OpenStax glossary terms whose sha256(lower-case term) starts with a byte divisible by 10",
    prompts=(QUESTION, "{text}"),
    packs=(PACK,),
    run=run,
)
