"""English words and sentences by voices never heard in training: does the text find the recording?"""

from __future__ import annotations

from ..encoder import Encoder
from ..packs import Packs
from ..splits import is_dev_speech
from ..task import EvalTask, Result, Scope, places, retrieval

PACK = "audio/speech_real"


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@10 and R@1 of text to speech among the English recordings, by length of text, and back."""
    samples = scope.pick(
        list(packs.samples(PACK, lambda key, meta: meta["language"] == "en" and is_dev_speech({**meta, "key": key})))
    )
    said = places([sample.meta["text"].strip() for sample in samples])
    texts = list(said)
    speech, words = encoder.embed(sample.part for sample in samples), encoder.embed(texts)
    kinds = ["sentence" if len(text.split()) > 2 else "word" for text in texts]
    own = {i: t for t, positions in enumerate(said.values()) for i in positions}
    return [
        *retrieval("text → speech", words @ speech.T, list(said.values()), (10, 1), kinds),
        *retrieval("speech → text", speech @ words.T, [own[i] for i in range(len(samples))], (10, 1)),
    ]


task = EvalTask(
    name="speech",
    measures="English words and sentences find their recording by voices held out of training",
    split="recordings whose voice's sha256 starts with a byte divisible by 5",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
