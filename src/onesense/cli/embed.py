"""`onesense embed`: inputs in, a vector out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onesense.errors import InvalidInput, NotFound

from .verb import DEFAULT_MODEL, Dim, Files, Json, Model, TaskName, Texts, input_parts, print_json

if TYPE_CHECKING:
    from onesense.types import Content, Embedding

_WRITERS = (".npy", ".json")


def command(
    ctx: typer.Context,
    text: Texts = None,
    file: Files = None,
    each: Annotated[bool, typer.Option("--each", help="One vector an input instead of one for all together.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the vectors to a .npy or .json file.")] = None,
    dim: Dim = None,
    task: TaskName = None,
    model: Model = DEFAULT_MODEL,
    as_json: Json = False,
) -> None:
    """Embed text and files: all -t and -f inputs, in their order, become one vector; with --each, one vector each."""
    from onesense import Embedder
    from onesense.types import Content

    parts = input_parts(ctx)
    if not parts:
        raise InvalidInput("nothing to embed: give text with -t or a file with -f")
    if out is not None and out.suffix not in _WRITERS:
        raise InvalidInput(f"`{out}` has no known format: end it in {' or '.join(_WRITERS)}")
    contents = [Content(p) for p in parts] if each else [Content(*parts)]
    with Embedder(model) as embedder:
        found = embedder.embed_detailed(contents, dim, task)
        answer = _describe(found, model=embedder.info.name, task=task)
    if out is not None:
        _save(out, found, answer)
    if as_json:
        print_json(answer)
    else:
        _print(contents, found, out)


def _describe(found: Sequence[Embedding], **about: str | None) -> dict[str, Any]:
    rows = [
        {"values": e.values.tolist(), "n_tokens": e.n_tokens, "usage": dict(e.usage), "truncated": e.truncated}
        for e in found
    ]
    return about | {"dim": len(found[0].values), "embeddings": rows}


def _save(out: Path, found: Sequence[Embedding], answer: dict[str, Any]) -> None:
    """Write float32 [n, d] as .npy, or the JSON answer."""
    import numpy as np

    if not out.resolve().parent.is_dir():
        raise NotFound(f"no folder `{out.parent}` to write `{out.name}` to: create it first")
    if out.suffix == ".npy":
        np.save(out, np.stack([e.values for e in found]), allow_pickle=False)
    else:
        out.write_text(json.dumps(answer, ensure_ascii=False), encoding="utf-8")


def _print(contents: Sequence[Content], found: Sequence[Embedding], out: Path | None) -> None:
    from .screen import clip, print_table

    rows = []
    for content, embedding in zip(contents, found, strict=True):
        what = " + ".join(str(part.value) for part in content.parts)
        usage = ", ".join(f"{n} {name}" for name, n in embedding.usage.items()) or str(embedding.n_tokens)
        head = " ".join(f"{x:+.4f}" for x in embedding.values[:6])
        cut = ", end left out" if embedding.truncated else ""
        rows.append((clip(what, 48), len(embedding.values), usage + cut, f"{head} …"))
    print_table(("input", "dim", "tokens", "vector"), rows)
    print(f"written to {out}" if out else "the whole vector: --json or --out vectors.npy")
