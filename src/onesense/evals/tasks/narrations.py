"""Narrated stories: does a page read aloud find its own text, and its English translation?"""

from __future__ import annotations

from ..encoder import Encoder
from ..packs import Packs
from ..splits import is_dev_story
from ..task import EvalTask, Result, Scope, places, retrieval, unique_index

PACK = "audio/stories_speech"


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """Speech to the page text of all languages, speech to English, own text to speech; by language."""
    samples = scope.pick(list(packs.samples(PACK, lambda _, meta: is_dev_story(meta["story"]))))
    languages = [sample.meta["lang"] for sample in samples]
    speech = encoder.embed(sample.part for sample in samples)
    texts, text_of = unique_index([sample.meta["text"] for sample in samples])
    words = encoder.embed(texts)
    spoken = places([str(t) for t in text_of])
    speech_of = [spoken[str(t)] for t in range(len(texts))]
    results = retrieval("speech → own text", speech @ words.T, text_of, (10, 1), languages)
    translated = [i for i, sample in enumerate(samples) if sample.meta.get("english")]
    if translated:
        english, english_of = unique_index([samples[i].meta["english"] for i in translated])
        scores = speech[translated] @ encoder.embed(english).T
        groups = [languages[i] for i in translated]
        results += retrieval("speech → English page", scores, english_of, (10, 1), groups)
    return results + retrieval("own text → speech", words @ speech.T, speech_of, (10, 1))


task = EvalTask(
    name="narrations",
    measures="story pages read aloud find their own text and its English translation",
    split="narrated stories whose number ends in 3",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
