"""Stage C, all senses: letters for scripts that had none, motion as words, cosines kept over all kinds of text.

Command: `onesense train stage_c --minutes 90 --threads 1 --out runs/stage_c` (one CPU core, bf16), after `stage_b` and
`onesense train --step letters -- runs`.
Expected: the development table of docs/model-card.md; the steps and what was tried stand in dev/LOG.md.
"""

from ..run import Recipe

recipe = Recipe(
    tasks={
        "parallel": {"batch": 12},
        "letters": {"batch": 14},
        "order": {"batch": 16},
        "search": {"batch": 8},
        "pictures": {"batch": 12, "edited": 6},
        "composed": {"batch": 12},
        "sounds": {"batch": 8, "edited": 5, "mixed": 4},
        "videos": {"batch": 4},
        "speech": {"batch": 14},
    },
    rank=16,
    learning_rate=4e-4,
    bridge_rate=5e-4,
    average=0.995,
    start="runs/stage_b/last.pt",
    letters="runs/letters.npz",
)
