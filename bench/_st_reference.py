"""The rival of bench/throughput.py: sentence-transformers with the very weights that onesense-mini's text came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from onesense.train import sources
from onesense.train.importers import e5

WIDTH = 384
MAX_TOKENS = 512


def sentence_transformer() -> Any:
    """multilingual-e5-small, fp32 on torch, mean-pooled and normalised, without a prefix."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    folder = to_transformers(Path(".sources") / "e5_transformers")
    modules = [Transformer(str(folder), max_seq_length=MAX_TOKENS), Pooling(WIDTH, "mean"), Normalize()]
    return SentenceTransformer(modules=modules, device="cpu")


def to_transformers(folder: Path) -> Path:
    """Write the imported network as a `transformers` folder (BertModel and fast tokeniser), once.

    Raises:
        NotFound: the network was not fetched, see onesense.train.sources.
        RuntimeError: a weight is missing or left over.
    """
    if (folder / "model.safetensors").is_file():
        return folder
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    network = e5.read(sources.path("e5"))
    config = BertConfig(
        vocab_size=int(network.config["vocab"]),
        hidden_size=WIDTH,
        num_hidden_layers=int(network.config["layers"]),
        num_attention_heads=int(network.config["heads"]),
        intermediate_size=int(network.config["ff"]),
        max_position_embeddings=MAX_TOKENS,
        layer_norm_eps=1e-12,
        pad_token_id=int(network.config["pad"]),
    )
    model = BertModel(config, add_pooling_layer=False)
    named = bert_names(network.weights(), network.words.dequantize())
    state = {name: torch.from_numpy(np.ascontiguousarray(weight)) for name, weight in named.items()}
    model.load_state_dict(state, strict=True)
    model.save_pretrained(folder)
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    tokens |= {"cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    file = str(sources.path("e5_tokenizer"))
    PreTrainedTokenizerFast(tokenizer_file=file, model_max_length=MAX_TOKENS, **tokens).save_pretrained(folder)
    return folder


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
