"""How fast a run is, and how long it will take: from what the last half minute brought."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 30.0  # long enough to even out batches, short enough to follow a change from texts to videos


class Pace:
    """Speed of a run that tells how far it is, such as a progress callback does. Not thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])

    def at(self, done: int, total: int) -> tuple[float, float | None]:
        """Note how far it is.

        Returns:
            Sources per second over the last 30 seconds, and seconds left; None before anything is known.
        """
        now = self._clock()
        self._marks.append((now, done))
        while len(self._marks) > 2 and now - self._marks[1][0] > WINDOW_S:
            self._marks.popleft()
        then, before = self._marks[0]
        per_s = (done - before) / (now - then) if now > then else 0.0
        return per_s, (total - done) / per_s if per_s > 0 else None
