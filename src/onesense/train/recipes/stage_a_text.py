"""Stage A, text: everyday sentences, words and stories of 140+ languages are drawn to their English.

Command: `onesense train stage_a_text --minutes 35 --out runs/text` (2 shared CPU cores, bf16).
Expected: see dev/LOG.md, "Text stage".
"""

from ..recipe import Recipe

recipe = Recipe(tasks={"parallel": {"batch": 28}, "retain": {"batch": 12}}, rank=16, learning_rate=6e-4)
