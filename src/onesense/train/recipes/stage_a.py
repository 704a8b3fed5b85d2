"""Stage A, all senses: pictures, sounds, speech, videos and mixtures of them with words meet text in one trunk.

Command: `onesense train stage_a --minutes 40 --out runs/stage_a` (2 CPU cores, bf16), after
`stage_a_text`, `onesense.train.features`, `onesense.train.tables` and `onesense.train.ear`.
Expected: the development table of docs/model-card.md; the steps and what was tried stand in dev/LOG.md.
"""

from ..recipe import Recipe

recipe = Recipe(
    tasks={
        "parallel": {"batch": 12},
        "retain": {"batch": 8},
        "pictures": {"batch": 12, "edited": 6},
        "composed": {"batch": 12},
        "sounds": {"batch": 8, "edited": 5, "mixed": 4},
        "videos": {"batch": 3},
        "speech": {"batch": 14},
    },
    rank=16,
    learning_rate=6e-4,
    bridge_rate=1e-3,
    start="runs/text/last.pt",
)
