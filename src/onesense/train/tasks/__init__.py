"""The tasks of a run: each draws a batch and gives its loss. Targets are the frozen teacher's vectors of text."""

from __future__ import annotations

from collections.abc import Callable

from ..run import Task
from .pairs import Pairs
from .pictures import Composed, Pictures, Videos
from .sounds import Sounds
from .speech import Speech
from .text import Letters, Order, Parallel, Retain, Search, Similarity

TASKS: dict[str, Callable[..., Task]] = {
    "composed": Composed,
    "letters": Letters,
    "order": Order,
    "pairs": Pairs,
    "parallel": Parallel,
    "pictures": Pictures,
    "retain": Retain,
    "search": Search,
    "similarity": Similarity,
    "sounds": Sounds,
    "speech": Speech,
    "videos": Videos,
}
"""Name in a recipe -> class; each takes (packs, student, **arguments)."""
