"""The rival of bench/throughput.py: sentence-transformers running the very weights that onesense-mini ships."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from onesense.engine.backends._mini import compose
from onesense.engine.backends._mini.graph import widen
from onesense.engine.backends._mini.package import Package
from onesense.engine.backends._mini.tokenizer import Tokenizer
from onesense.engine.backends._mini.words import WordTable

WIDTH = 384
MAX_TOKENS = 512


def sentence_transformer() -> Any:
    """The shipped words and trunk, fp32 on torch, mean-pooled and normalised, without a prefix."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    package = Package()
    folder = to_transformers(package, Path(".sources") / f"transformers_{package.manifest['revision']}")
    modules = [Transformer(str(folder), max_seq_length=MAX_TOKENS), Pooling(WIDTH, "mean"), Normalize()]
    return SentenceTransformer(modules=modules, device="cpu")


def shared_space(pooled: np.ndarray) -> np.ndarray:
    """The rival's unit vectors through our head: the first 384 dimensions of onesense-mini, float32 [n, 384]."""
    bridge = widen(Package().arrays("bridge.npz"))
    nothing = [np.zeros((1, n), np.float32) for n in (WIDTH, 1, len(compose.SENSES))]
    joined = compose.joined(pooled, *nothing, bridge) @ bridge["head.map"]
    return joined / np.linalg.norm(joined, axis=1, keepdims=True)


def to_transformers(package: Package, folder: Path) -> Path:
    """Write the shipped text model as a `transformers` folder (BertModel and fast tokeniser), once a revision.

    Raises:
        RuntimeError: a weight is missing or left over.
    """
    if folder.is_dir():
        return folder
    with TemporaryDirectory(dir=_made(folder.parent)) as scratch:  # a run that is killed leaves nothing half written
        _write(package, Path(scratch) / folder.name)
        os.replace(Path(scratch) / folder.name, folder)
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(package: Package, folder: Path) -> None:
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    table = WordTable.open(package)
    words = table(np.arange(len(table.nibbles)))
    config = BertConfig(
        vocab_size=len(words), hidden_size=WIDTH, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=4 * WIDTH, max_position_embeddings=MAX_TOKENS, layer_norm_eps=1e-12, pad_token_id=1,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False)
    weights = widen(package.arrays("trunk.npz"))
    named = bert_names(weights, words)
    state = {name: torch.from_numpy(np.ascontiguousarray(weight)) for name, weight in named.items()}
    model.load_state_dict(state, strict=True)
    model.save_pretrained(folder)
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    tokens |= {"cls_token": "<s>", "sep_token": "</s>"}
    from tokenizers import processors

    fast = Tokenizer(package.arrays("tokenizer.npz")).whole()
    fast.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    PreTrainedTokenizerFast(tokenizer_object=fast, model_max_length=MAX_TOKENS, **tokens).save_pretrained(folder)


def bert_names(weights: dict[str, np.ndarray], words: np.ndarray) -> dict[str, np.ndarray]:
    """Weights by BertModel's names; the token type is already added to the positions, so its own row is zero."""
    named = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": weights["position"],
        "embeddings.token_type_embeddings.weight": np.zeros((2, WIDTH), np.float32),
        "embeddings.LayerNorm.weight": weights["norm.weight"],
        "embeddings.LayerNorm.bias": weights["norm.bias"],
    }
    linear = {
        "out": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "norm2": "output.LayerNorm",
    }
    n_layers = len({name.split(".")[1] for name in weights if name.startswith("layers.")})
    for i in range(n_layers):
        for kind in ("weight", "bias"):
            ours, theirs = f"layers.{i}", f"encoder.layer.{i}"
            parts = np.split(weights[f"{ours}.qkv.{kind}"], 3)
            for part, name in zip(parts, ("query", "key", "value"), strict=True):
                named[f"{theirs}.attention.self.{name}.{kind}"] = part
            named |= {f"{theirs}.{new}.{kind}": weights[f"{ours}.{old}.{kind}"] for old, new in linear.items()}
    return named
