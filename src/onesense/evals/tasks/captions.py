"""Captioned photographs: does a sentence find its picture, and the picture its sentences?"""

from __future__ import annotations

from ..encoder import Encoder
from ..packs import Packs
from ..splits import is_dev_caption
from ..task import EvalTask, Result, Scope, retrieval, unique_index

PACK = "images/captions"


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@10 and R@1 in both directions, every human sentence of a picture being one of its captions."""
    samples = scope.pick(list(packs.samples(PACK, lambda key, _: is_dev_caption(key))))
    said = [(text, i) for i, sample in enumerate(samples) for text in sample.meta["captions"]]
    texts, place = unique_index([text for text, _ in said])
    pictures_of: list[list[int]] = [[] for _ in texts]
    texts_of: list[list[int]] = [[] for _ in samples]
    for (_, picture), text in zip(said, place, strict=True):
        pictures_of[text].append(picture)
        texts_of[picture].append(text)
    pictures, words = encoder.embed(sample.part for sample in samples), encoder.embed(texts)
    return [
        *retrieval("caption → picture", words @ pictures.T, pictures_of, (10, 1)),
        *retrieval("picture → caption", pictures @ words.T, texts_of, (10, 1)),
    ]


task = EvalTask(
    name="captions",
    measures="human sentences find the photograph, painting or poster that they describe, and back",
    split="pictures held out by onesense.evals.splits.is_dev_caption",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
