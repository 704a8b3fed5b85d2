"""How fast is a model, against what people would use instead, with the same inputs on the same cores?

    python bench/throughput.py text      # against sentence-transformers, torch fp32, with the same weights
    python bench/throughput.py picture   # against a ViT-B/32 tower of random weights on torch; one core
    python bench/throughput.py speech    # CPU milliseconds per second of audio; one core

Text needs torch, transformers and sentence-transformers.
"""

from __future__ import annotations

import argparse
import io
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _results import record, spread

from onesense.evals.metrics import neighbours_kept

Embed = Callable[[Sequence[Any]], np.ndarray]
TOP = 10
NTREX_VARIANTS = ("deu", "rus", "arb", "hin", "tha", "zho-CN", "swa", "spa", "jpn", "tam")


def main() -> None:
    options = _options()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])  # before any library counts its cores
    os.environ["ONESENSE_RUNTIME"] = options.runtime
    {"text": text, "picture": picture, "speech": speech}[options.what](options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("text", "picture", "speech"))
    parser.add_argument("--model", default="onesense-mini")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data packs")
    parser.add_argument("--n", type=int, default=300, help="inputs of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runtime", default="onnxruntime", help="of the bundled model's trunk: ONESENSE_RUNTIME")
    parser.add_argument("--cores", type=int, default=1, help="cores that both sides may use")
    parser.add_argument("--json", type=Path, help="write the JSON there as well")
    return parser.parse_args()


def text(options: argparse.Namespace) -> None:
    import torch
    from _st_reference import sentence_transformer, shared_space

    torch.set_num_threads(options.cores)
    rival, ours = sentence_transformer(), _embedder(options.model)
    texts = mixed_texts(options.data, options.n)
    sides: dict[str, Embed] = {
        options.model: lambda items: ours.embed(list(items)),
        "sentence-transformers": lambda items: rival.encode(list(items), batch_size=32, show_progress_bar=False),
    }
    rates, vectors = _race(sides, texts, options.rounds)
    kept = neighbours_kept(shared_space(vectors["sentence-transformers"]), ours.embed(texts, dim=384), TOP)
    ratio = _ratio(rates, options.model, "sentence-transformers")
    lengths = sorted(map(len, texts))
    measured = {
        "texts": len(texts),
        "letters": {"min": lengths[0], "median": lengths[len(lengths) // 2], "max": lengths[-1]},
        "texts_per_s": {name: spread(values) for name, values in rates.items()},
        "ratio": round(ratio, 2),
        f"top_{TOP}_kept": round(kept, 4),
    }
    summary = f"{_rates(rates)} texts/s: {ratio:.2f}x, {100 * kept:.1f} % of the top-{TOP} neighbours kept"
    record("text against sentence-transformers", summary, measured, options.json)


def picture(options: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(options.cores)
    from onesense import Content, Part

    ours, tower = _embedder(options.model), vit_b32()
    files = [jpeg(i) for i in range(options.n)]
    sides: dict[str, Embed] = {
        options.model: lambda items: ours.embed([Content(Part.bytes(item, "image/jpeg")) for item in items]),
        "ViT-B/32": lambda items: encode_pictures(tower, items),
    }
    rates, _ = _race(sides, files, options.rounds)
    ratio = _ratio(rates, options.model, "ViT-B/32")
    measured = {
        "pictures": f"{len(files)} JPEG of 640 x 480, decoding included",
        "pictures_per_s": {name: spread(values) for name, values in rates.items()},
        "ratio": round(ratio, 2),
    }
    record("pictures against ViT-B/32", f"{_rates(rates)} pictures/s: {ratio:.2f}x", measured, options.json)


def speech(options: argparse.Namespace) -> None:
    from onesense import Content
    from onesense.evals.packs import Packs

    ours = _embedder(options.model)
    samples = list(Packs(options.data).samples("audio/speech_real", lambda _, meta: meta["seconds"] > 2))
    spoken = samples[:: max(1, len(samples) // options.n)][: options.n]
    seconds = sum(sample.meta["seconds"] for sample in spoken)
    contents = [Content(sample.part) for sample in spoken]
    ours.embed(contents[:4])
    used = []
    for _ in range(options.rounds):
        start = time.process_time()
        ours.embed(contents)
        used.append(1_000 * (time.process_time() - start) / seconds)
    measured = {"seconds_of_audio": round(seconds, 1), "clips": len(spoken), "cpu_ms_per_s": spread(used)}
    summary = f"{np.median(used):.1f} CPU ms per second of audio ({len(spoken)} clips, {seconds:.0f} s)"
    record("speech, trunk included", summary, measured, options.json)


def mixed_texts(data: Path, n: int) -> list[str]:
    """Captions, news sentences of eleven languages and runs of two to four of them: short, middle and long."""
    from onesense.evals.packs import Packs

    packs = Packs(data)
    short = [row["sentence1"] for row in packs.rows("text/stsb_ccbysa_train_dev.tsv.xz") if row["split"] == "train"]
    news = []
    for row in packs.rows("text/ntrex_1-1600.tsv.xz"):
        if int(row["line"]) > 100:
            break
        news += [row["text"]] if row["variant"] in NTREX_VARIANTS else []
    random = np.random.default_rng(0)
    pick = lambda items, most: [items[i] for i in random.permutation(len(items))[:most]]  # noqa: E731
    long = [" ".join(pick(news, int(random.integers(2, 5)))) for _ in range(n // 6)]
    return list(dict.fromkeys(pick(short, n // 3) + pick(news, n - n // 3 - n // 6) + long))


def vit_b32() -> Any:
    """The picture tower of CLIP ViT-B/32 with random weights: 12 layers of width 768 over 7 x 7 patches and a class."""
    import torch
    from torch import nn

    class Tower(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 768, 32, 32, bias=False)
            self.start = nn.Parameter(torch.randn(1, 1, 768))
            self.position = nn.Parameter(torch.randn(1, 50, 768))
            layer = nn.TransformerEncoderLayer(768, 12, 3072, 0.0, "gelu", batch_first=True, norm_first=True)
            self.layers = nn.TransformerEncoder(layer, 12, nn.LayerNorm(768), enable_nested_tensor=False)
            self.out = nn.Linear(768, 512, bias=False)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            x = self.patches(pixels).flatten(2).transpose(1, 2)  # [B, 49, 768]
            x = torch.cat([self.start.expand(len(x), -1, -1), x], 1) + self.position  # [B, 50, 768]
            return self.out(self.layers(x)[:, 0])  # [B, 512]

    torch.manual_seed(0)
    return Tower().eval()


def encode_pictures(tower: Any, files: Sequence[bytes], batch: int = 16) -> np.ndarray:
    """Decode, scale to 224 x 224 and embed; the decoder may shrink while it reads, as ours does."""
    import torch
    from PIL import Image

    found = []
    for start in range(0, len(files), batch):
        pixels = []
        for file in files[start : start + batch]:
            image = Image.open(io.BytesIO(file))
            image.draft("RGB", (224, 224))
            pixels.append(np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)))
        with torch.inference_mode():
            values = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
            found.append(tower(values).numpy())
    return np.concatenate(found)


def jpeg(seed: int) -> bytes:
    """A JPEG of 640 x 480 with coarse and fine structure, so that it costs what a photograph costs to decode."""
    from PIL import Image

    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (12, 16, 3), np.uint8)).resize((640, 480))
    noisy = np.clip(np.asarray(coarse, np.int16) + random.integers(-12, 12, (480, 640, 3)), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noisy).save(stream, "JPEG", quality=88)
    return stream.getvalue()


def _embedder(name: str) -> Any:
    from onesense import Embedder

    return Embedder(name)


def _race(sides: dict[str, Embed], items: Sequence[Any], rounds: int) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Items per second of each side in each round, after a first round that only warms up; and its vectors."""
    vectors = {name: embed(items) for name, embed in sides.items()}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, embed in sides.items():
            start = time.perf_counter()
            embed(items)
            rates[name].append(len(items) / (time.perf_counter() - start))
    return rates, vectors


def _ratio(rates: dict[str, list[float]], ours: str, rival: str) -> float:
    """Median over rounds of our rate over the rival's in the same round."""
    return float(np.median(np.array(rates[ours]) / np.array(rates[rival])))


def _rates(rates: dict[str, list[float]]) -> str:
    return ", ".join(f"{name} {np.median(values):.1f}" for name, values in rates.items())


if __name__ == "__main__":
    main()
