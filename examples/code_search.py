"""Functions found by what they do, with the task that Gemini calls CODE_RETRIEVAL.

Usage: python examples/code_search.py [folder of Python code] [question ...]
"""

import ast
import sys
from pathlib import Path

import numpy as np

import onesense
from onesense import Embedder, Task

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(onesense.__file__).parent / "media")
questions = sys.argv[2:] or [
    "take the words out of a web page",
    "make a picture smaller",
    "find where a film changes its shot",
]


def functions(root: Path) -> dict[str, str]:
    """Place -> source of every function and method with a docstring."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(node):
                found[f"{path.relative_to(root)}:{node.lineno} {node.name}"] = ast.get_source_segment(text, node) or ""
    return found


code = functions(folder)
with Embedder("onesense-mini") as embedder:
    bank = embedder.embed([source[:500] for source in code.values()], task=Task.SEARCH_DOCUMENT)  # float32 [n, 3072]
    asked = embedder.embed(questions, task=Task.CODE_RETRIEVAL)

print(f"{len(code)} functions")
for question, scores in zip(questions, asked @ bank.T, strict=True):
    print(question)
    for i in np.argsort(-scores)[:3]:
        print(f"   {scores[i]:.2f} {list(code)[i]}")
