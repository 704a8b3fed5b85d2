"""Storybooks: does the text of a page find its picture, and the picture its text?"""

from __future__ import annotations

from ..encoder import Encoder
from ..packs import Packs
from ..splits import is_dev_story
from ..task import EvalTask, Result, Scope, retrieval, unique_index

PACK = "images/stories"


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@10 and R@1 in both directions; a picture that stands on several pages is known by its first text."""
    samples = scope.pick(list(packs.samples(PACK, lambda _, meta: is_dev_story(meta["story"]))))
    texts, text_of = unique_index([sample.meta["captions"][0] for sample in samples])
    pictures, words = encoder.embed(sample.part for sample in samples), encoder.embed(texts)
    pictures_of = [[i for i, t in enumerate(text_of) if t == place] for place in range(len(texts))]
    return [
        *retrieval("page text → picture", words @ pictures.T, pictures_of, (10, 1)),
        *retrieval("picture → page text", pictures @ words.T, text_of, (10, 1)),
    ]


task = EvalTask(
    name="stories",
    measures="storybook pages: text finds its illustration and back",
    split="African Storybook stories whose number ends in 3",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
