"""Short video clips: does a sentence find its clip, and the clip its sentence?"""

from __future__ import annotations

import io

import numpy as np

from ...types import Part, Video
from ..encoder import Encoder
from ..packs import Packs, Sample
from ..task import EvalTask, Result, Scope, retrieval, unique_index

PACK = "video/clips"


def clip(sample: Sample) -> Part:
    """The frames of an animated WebP at their times, as a silent video.

    The pack keeps clips as pictures that move, which no video reader takes: hence a reader of this one format here.
    """
    from PIL import ImageSequence
    from PIL.WebPImagePlugin import WebPImageFile

    with WebPImageFile(io.BytesIO(sample.media)) as moving:
        frames = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(moving)])
    times_s = np.arange(len(frames), dtype=np.float32) / float(sample.meta["fps"])
    return Part(Video(frames, times_s, None, float(sample.meta["seconds"])))


def run(encoder: Encoder, packs: Packs, scope: Scope) -> list[Result]:
    """R@5 and R@1 in both directions, signs of American Sign Language and other scenes told apart."""
    samples = scope.pick(list(packs.samples(PACK)))
    kinds = ["sign language" if sample.meta.get("label") else "scene" for sample in samples]
    texts, text_of = unique_index([sample.meta["captions"][0] for sample in samples])
    clips_of = [[i for i, t in enumerate(text_of) if t == place] for place in range(len(texts))]
    kind_of_text = [kinds[found[0]] for found in clips_of]
    clips, words = encoder.embed(map(clip, samples)), encoder.embed(texts)
    return [
        *retrieval("caption → clip", words @ clips.T, clips_of, (5, 1), kind_of_text),
        *retrieval("clip → caption", clips @ words.T, text_of, (5, 1), kinds),
    ]


task = EvalTask(
    name="video",
    measures="sentences find the short clip that they describe, and back",
    split="all clips: the pack is too small to hold part of it out, so training must not read it",
    prompts=("{text}",),
    packs=(PACK,),
    run=run,
)
