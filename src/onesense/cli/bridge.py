"""`onesense bridge`: a preview of what another model would find in a collection, before it is embedded again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .search import parse_where, print_hits
from .verb import DEFAULT_COLLECTION, Dim, ExitCode, Files, Json, Model, Texts, input_parts, print_json

if TYPE_CHECKING:
    from onesense.index.bridge import Bridge


def command(
    ctx: typer.Context,
    model: Model,
    collection: Annotated[Path, typer.Argument(help="The collection.")] = Path(DEFAULT_COLLECTION),
    text: Texts = None,
    file: Files = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Number of hits.")] = 10,
    modality: Annotated[str | None, typer.Option("--modality", help="Only text, image, audio, video or pdf.")] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="Only hits with KEY=VALUE, as for search.")] = None,
    dim: Dim = None,
    sample: Annotated[int, typer.Option("--sample", help="Segments to embed with the model.")] = 500,
    as_json: Json = False,
) -> None:
    """Learn how another model's vectors lie to a collection's, tell how well, and preview a search with it."""
    from onesense.index import bridge as work
    from onesense.types import Content

    from .screen import progress_bar

    parts, wanted = input_parts(ctx), parse_where(where or []) or None
    with progress_bar("learning the bridge", quiet=as_json) as progress:
        learned = work.learn(collection, model, dim=dim, sample=sample, progress=progress)
    hits = work.preview(collection, learned, Content(*parts), k, modality, wanted) if parts else []
    if as_json:
        facts = {"collection": str(collection), "model": model, "is_preview": True, "quality": asdict(learned.quality)}
        print_json(facts | {"hits": [hit.to_dict() for hit in hits]})
    else:
        _tell(learned)
        if parts:
            print("PREVIEW, by the old vectors: `onesense reembed` gives the true hits")
            print_hits(hits)
    if parts and not hits:
        raise typer.Exit(ExitCode.NOTHING_FOUND)


def _tell(learned: Bridge) -> None:
    found = learned.quality
    print(f"bridge to `{learned.model}` ({found.method}), learned from {found.n_fit} segments")
    print(f"against true re-embedding of {found.n_held} others, by this bridge (by the collection as it is):")
    print(f"  of the ten nearest {found.overlap:.0%} are found ({found.old_overlap:.0%})")
    print(f"  the nearest is among the ten in {found.recall:.0%} ({found.old_recall:.0%})")
    if found.overlap <= found.old_overlap:
        print("The bridge is no better than the old vectors: its preview says little about this model.")
