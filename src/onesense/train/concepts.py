"""Concept tables: what a picture's or a sound's classes are called, as vectors that the trunk and the head understand.

A table turns a perception network's logits into words: `p = softmax((W x + b) / T)`, then `p @ soft` is a token for
the trunk (a *soft word*) and `p @ out` a vector in the text space (the *skip*). Nothing is written down on the way.

E5's vectors all lie in one narrow cone (cosine of random pairs 0.79), so sums and averages of them say little. Every
`out` row is therefore built and kept in the *centred* space: `centre(v) = unit(v - mean)` with the table's own `mean`.
To compare a text with it, centre the text's vector with the same mean.

Axes: `K` concepts, `n` pictures or sounds, `D` = 384.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..engine.backends._mini.soft import picture_shares
from ..errors import CorruptData
from ..types import Array
from ..vectors import truncate_normalize
from .text import TextEncoder

HYPERNYM_SHARE = 0.6  # of a name's own vector; more helps natural queries and costs exact names (dev/LOG.md)
HYPERNYM_DECAY = 0.8  # per step up the tree
HYPERNYM_DEPTH = 4
TEMPERATURE = 0.8  # of the pictures' softmax
# Too wide to say anything about a picture; OEWN's upper ontology and the zoological frame.
_TOO_WIDE = frozenset(
    "entity;physical entity;object;physical object;whole;unit;organism;being;matter;substance;artifact;artefact;"
    "instrumentality;instrumentation;abstraction;abstract entity;living thing;animate thing;animate being;animal;"
    "chordate;vertebrate;craniate;placental;placental mammal;causal agency;causal agent;cause;thing;"
    "psychological feature;relation;solid;part;portion".split(";")
)


def unit(x: Array) -> Array:
    """Rows at length one, float32."""
    return truncate_normalize(np.asarray(x, np.float32), x.shape[-1])  # type: ignore[no-any-return]


def centre(vectors: Array, mean: Array) -> Array:
    """Unit vectors of the text space in the centred space, at length one again.

    Args:
        vectors: float32 [..., D], length one.
        mean: float32 [D], the table's `mean`.
    """
    return unit(vectors - mean)


@dataclass(frozen=True, slots=True)
class Concept:
    """One row of a table, in words."""

    names: tuple[str, ...]
    """English names, the usual one first."""
    hypernyms: tuple[str, ...] = ()
    """What it is a kind of, nearest first."""
    shared: tuple[str, ...] = ()
    """Words that another sense has for the same thing: the dog's bark for its picture."""
    translations: tuple[str, ...] = ()
    """Names in other languages."""


class Nouns:
    """The part of WordNet that names things: lemmas and hypernyms by WordNet 3.0 offset such as `02084071-n`."""

    def __init__(self, records: Iterable[Mapping[str, object]]) -> None:
        """Keep what is needed of `oewn.jsonl` records (fields: id, pos, lemmas, hypernyms)."""
        self.lemmas: dict[str, tuple[str, ...]] = {}
        self._chain: dict[str, tuple[str, ...]] = {}
        for record in records:
            if record["pos"] == "n":
                key = str(record["id"])
                self.lemmas[key] = tuple(record["lemmas"])  # type: ignore[arg-type]
                self._chain[key] = tuple(record["hypernyms"])  # type: ignore[arg-type]

    def hypernyms(self, offset: str | None, depth: int = HYPERNYM_DEPTH) -> tuple[str, ...]:
        """First lemmas up the tree, nearest first, without those too wide to help."""
        chain = self._chain.get(offset or "", ())
        named = (self.lemmas[key][0] for key in chain if key in self.lemmas)
        return tuple(name for name in named if name.lower() not in _TOO_WIDE)[:depth]


def with_article(name: str) -> str:
    """`a photo of a …`, with `an` before a vowel."""
    return f"a photo of {'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


class Wording:
    """Texts to centred vectors and soft words, each text encoded once."""

    def __init__(self, encoder: TextEncoder, mean: Array) -> None:
        """`mean` float32 [D] is the mean unit vector of a bank of texts; see `bank_mean`."""
        self.encoder, self.mean = encoder, mean
        self._known: dict[str, Array] = {}

    def learn(self, texts: Iterable[str]) -> None:
        """Encode what is not known yet, in one go."""
        new = sorted(set(texts) - self._known.keys())
        if new:
            self._known.update(zip(new, centre(self.encoder.encode(new), self.mean), strict=True))

    def __call__(self, texts: Sequence[str]) -> Array:
        """Centred unit vectors, float32 [n, D]."""
        self.learn(texts)
        return np.stack([self._known[text] for text in texts])

    def soft(self, name: str) -> Array:
        """Mean row of the word table over the name's pieces, float32 [D], raw scale."""
        rows: Array = self.encoder.words(self.encoder.tokenize([name])[0])
        return rows.mean(0)  # type: ignore[no-any-return]


def bank_mean(encoder: TextEncoder, texts: Sequence[str]) -> Array:
    """Mean unit vector of a bank of texts, float32 [D]."""
    return encoder.encode(texts).mean(0)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Weights:
    """How much of each kind of word goes into a concept's vector, relative to its name."""

    hypernyms: float = HYPERNYM_SHARE
    shared: float = 0.0
    translations: float = 0.0


def picture_texts(concept: Concept) -> tuple[str, ...]:
    """The two English wordings whose mean stands for a pictured concept."""
    return with_article(concept.names[0]), ", ".join(concept.names[:3])


def sound_texts(concept: Concept) -> tuple[str, ...]:
    """The three English wordings whose mean stands for a sound."""
    name = concept.names[0].lower()
    return f"the sound of {name}", name, f"{name} noise"


def concept_vectors(
    concepts: Sequence[Concept], texts: Sequence[Sequence[str]], wording: Wording, weights: Weights
) -> Array:
    """`out` rows of a table.

    Args:
        concepts: K concepts.
        texts: for each, the wordings whose mean is its own vector.
        wording: encodes texts.
        weights: shares of the other words.

    Returns:
        float32 [K, D], centred space, length one.
    """
    wording.learn([t for group in texts for t in group])
    wording.learn([with_article(h) for c in concepts for h in c.hypernyms] if weights.hypernyms else [])
    wording.learn([s for c in concepts for s in c.shared] if weights.shared else [])
    wording.learn([t for c in concepts for t in c.translations] if weights.translations else [])
    return np.stack([_vector(c, t, wording, weights) for c, t in zip(concepts, texts, strict=True)])


def _vector(concept: Concept, texts: Sequence[str], wording: Wording, weights: Weights) -> Array:
    total = unit(wording(texts).mean(0))
    if concept.hypernyms and weights.hypernyms:
        fading = HYPERNYM_DECAY ** np.arange(len(concept.hypernyms))
        total = total + weights.hypernyms * unit(fading @ wording([with_article(h) for h in concept.hypernyms]))
    if concept.shared and weights.shared:
        total = total + weights.shared * unit(wording(concept.shared).mean(0))
    if concept.translations and weights.translations:
        total = total + weights.translations * unit(wording(concept.translations).mean(0))
    return unit(total)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A concept table. `probabilities` is the rule, whatever the sense."""

    weight: Array
    """float32 [K, features]."""
    bias: Array
    """float32 [K], offset of new rows included."""
    out: Array
    """float32 [K, D], centred space, length one."""
    soft: Array
    """float32 [K, D], scale of the word table."""
    names: tuple[str, ...]
    mean: Array
    """float32 [D]: a text `v` is compared with `out` as `centre(v, mean)`."""
    temperature: float

    def save(self, path: Path) -> None:
        """Write as npz: `W b out soft names mean temperature`."""
        np.savez(
            path, W=self.weight, b=self.bias, out=self.out, soft=self.soft, names=np.array(self.names, "U"),
            mean=self.mean, temperature=np.float32(self.temperature),
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read what `save` wrote.

        Raises:
            CorruptData: an array is missing.
        """
        with np.load(path, allow_pickle=False) as z:
            if missing := {"W", "b", "out", "soft", "names", "mean", "temperature"} - set(z.files):
                raise CorruptData(f"`{path.name}` is not a concept table: no {sorted(missing)}")
            return cls(
                z["W"], z["b"], z["out"], z["soft"], tuple(z["names"].tolist()), z["mean"], float(z["temperature"])
            )

    def probabilities(self, features: Array) -> Array:
        """Softmax over the concepts, float32 [n, K], for float [n, features]."""
        logits = features.astype(np.float32) @ self.weight.T + self.bias
        return picture_shares(logits, self.temperature)

    def vectors(self, features: Array) -> Array:
        """Concept vectors in the centred space, float32 [n, D], length one."""
        return unit(self.probabilities(features) @ self.out)
