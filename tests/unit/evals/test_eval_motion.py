"""The task `motion`: perfect for who sees motion, chance for who sees what is shown."""

from __future__ import annotations

import numpy as np
from planted import Oracle

from onesense.engine.backends._mini.motion import motions
from onesense.evals.encoder import Encoder, Memory
from onesense.evals.task import Scope
from onesense.evals.tasks.motion import WORDINGS, task
from onesense.types import Part, Video


class Watcher(Oracle):
    """Tells clips apart by what the model's own detector finds in them, and texts by their wording."""

    def markers(self, part: Part) -> list[str]:
        if isinstance(part.value, Video):
            return [name for _, name in motions(list(part.value.frames), part.value.times_s)] or ["nothing"]
        return [name for name, wording in WORDINGS.items() if part.value.endswith(wording)]


class Blind(Oracle):
    """Sees which pictures are shown, in no order."""

    def markers(self, part: Part) -> list[str]:
        return ["a clip" if isinstance(part.value, Video) else part.value]


def test_who_sees_motion_is_nearly_perfect(packs):
    first, above = task.run(Encoder(Memory(Watcher())), packs, Scope(limit=5))
    assert first.n == above.n == 50
    assert first.value > 0.9 and above.value > 0.95


def test_who_does_not_is_at_chance(packs):
    first, above = task.run(Encoder(Memory(Blind())), packs, Scope(limit=5))
    assert first.value <= first.chance == 0.1 and above.value == 0.0


def test_clips_of_one_picture_differ_and_stay_in_its_frame(packs):
    seen = []

    class Keeper(Blind):
        def embed(self, contents, *, dim=None, task=None):
            seen.extend(c.parts[0].value for c in contents if isinstance(c.parts[0].value, Video))
            return super().embed(contents, dim=dim, task=task)

    task.run(Encoder(Memory(Keeper())), packs, Scope(limit=1))
    assert len(seen) == len(WORDINGS) and {v.frames.shape for v in seen} == {(5, 144, 192, 3)}
    assert len({v.frames.tobytes() for v in seen}) == len(WORDINGS)
    assert all(np.abs(np.diff(v.frames.astype(int), axis=0)).max() > 0 for v in seen)
