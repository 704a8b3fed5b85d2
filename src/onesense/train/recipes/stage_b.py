"""Stage B, all senses: goes on from stage A with search pairs, ordered similarities and many more spoken languages.

Command: `onesense train stage_b --minutes 86 --threads 1 --out runs/stage_b` (one CPU core, bf16), after `stage_a`
and an ear fitted on hours of synthetic speech (`onesense.train.speech`, `onesense.train.ear`).
Expected: the development table of docs/model-card.md; the steps and what was tried stand in dev/LOG.md.
"""

from ..run import Recipe

recipe = Recipe(
    tasks={
        "parallel": {"batch": 14},
        "retain": {"batch": 10},
        "search": {"batch": 8},
        "similarity": {"batch": 12},
        "pictures": {"batch": 12, "edited": 6},
        "composed": {"batch": 10},
        "sounds": {"batch": 8, "edited": 5, "mixed": 4},
        "videos": {"batch": 2},
        "speech": {"batch": 16},
    },
    rank=16,
    learning_rate=5e-4,
    bridge_rate=6e-4,
    average=0.995,
    start="runs/stage_a/last.pt",
)
