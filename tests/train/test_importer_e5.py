"""The imported text model against transformers' own BERT running the same weights."""

import numpy as np
import pytest

from onesense.train.importers import e5

pytestmark = pytest.mark.sources

TEXTS = [
    "The dog sleeps on the sofa.",
    "Der Hund schläft auf dem Sofa.",
    "狗在沙发上睡觉。",
    "query: how much protein per day?",
]


@pytest.fixture(scope="module")
def encoder():
    from onesense.train.text import TextEncoder

    return TextEncoder()


def bert(source):
    """transformers' BertModel with the imported weights, by its own names."""
    import torch
    from transformers import BertConfig, BertModel

    c = source.config
    config = BertConfig(
        vocab_size=len(source.words.scales), hidden_size=384, num_hidden_layers=12, num_attention_heads=12,
        intermediate_size=1536, max_position_embeddings=512, type_vocab_size=int(c["types"]), layer_norm_eps=1e-12,
    )  # fmt: skip
    model = BertModel(config, add_pooling_layer=False)
    a, m = source.arrays, {k: v.dequantize() for k, v in source.matrices.items()}
    names = {"embeddings.word_embeddings.weight": source.words.dequantize()}
    names |= {
        "embeddings.position_embeddings.weight": a["emb.pos"],
        "embeddings.token_type_embeddings.weight": a["emb.type"],
    }
    names |= {"embeddings.LayerNorm.weight": a["emb.ln.w"], "embeddings.LayerNorm.bias": a["emb.ln.b"]}
    places = {
        "attention.self.query": "q", "attention.self.key": "k", "attention.self.value": "v",
        "attention.output.dense": "ao", "attention.output.LayerNorm": "aln", "intermediate.dense": "fi",
        "output.dense": "fo", "output.LayerNorm": "oln",
    }  # fmt: skip
    for i in range(12):
        for theirs, ours in places.items():
            weight = f"l{i}.{ours}.w"
            names[f"encoder.layer.{i}.{theirs}.weight"] = m[weight] if weight in m else a[weight]
            names[f"encoder.layer.{i}.{theirs}.bias"] = a[f"l{i}.{ours}.b"]
    model.load_state_dict({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in names.items()}, strict=True)
    return model.eval()


def test_vectors_equal_those_of_transformers(encoder):
    import torch

    from onesense.train import sources
    from onesense.train.importers import e5

    model = bert(e5.read(sources.path("e5")))
    ours = encoder.encode(TEXTS, bf16=False)
    for text, row in zip(TEXTS, ours, strict=True):
        ids = torch.tensor([[0, *encoder.tokenize([text])[0], 2]])
        with torch.no_grad():
            state = model(input_ids=ids).last_hidden_state[0].mean(0)
        assert float(torch.nn.functional.cosine_similarity(state, torch.from_numpy(row), dim=0)) > 0.99999


def test_graph_equals_torch(encoder, tmp_path):
    import torch

    from onesense.engine.backends._mini.graph import Graph
    from onesense.train import graphs
    from onesense.train.text import pad

    weights = graphs.trunk(graphs.trunk_weights(encoder.trunk), tmp_path / "trunk.onnx")
    x, mask = pad([encoder.sequence(ids) for ids in encoder.tokenize(TEXTS)])
    (pooled,) = Graph(tmp_path / "trunk.onnx", weights, threads=1).run(x=x.numpy(), mask=mask.numpy())
    with torch.no_grad():
        expected = encoder.trunk(x, mask).numpy()
    assert np.abs(pooled - expected).max() < 1e-5


def test_a_branch_is_added_when_the_session_is_made(encoder, tmp_path):
    import torch

    from onesense.engine.backends._mini.graph import Graph
    from onesense.train import graphs
    from onesense.train.text import imported_trunk, pad

    trunk = imported_trunk()
    for parameter in trunk.add_rank(2):
        torch.nn.init.normal_(parameter, std=0.05)
    weights = graphs.trunk(graphs.trunk_weights(trunk), tmp_path / "trunk.onnx")
    x, mask = pad([encoder.sequence(ids) for ids in encoder.tokenize(TEXTS)])
    (pooled,) = Graph(tmp_path / "trunk.onnx", weights, threads=1).run(x=x.numpy(), mask=mask.numpy())
    with torch.no_grad():
        expected = trunk(x, mask).numpy()
        plain = encoder.trunk(x, mask).numpy()
    assert np.abs(pooled - expected).max() < 1e-4 < np.abs(expected - plain).max()


def test_another_file_is_refused(tmp_path):
    from onesense.errors import CorruptData
    from onesense.train.importers import e5

    wrong = tmp_path / "model.bin"
    wrong.write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(CorruptData, match="GGUF"):
        e5.read(wrong)


def test_quantized_blocks_are_near_and_exact_for_what_was_quantized_before():
    rng = np.random.default_rng(0)
    rows = rng.normal(0, 0.08, (50, 384)).astype(np.float32)
    rows[0] = 0
    once = e5.Q4.quantize(rows)
    assert once.nibbles.dtype == np.uint8 and once.scales.shape == (50, 12)
    blocks = np.abs(rows.reshape(50, 12, 32)).max(-1).repeat(32, -1).reshape(50, 384)
    assert (np.abs(once.dequantize() - rows) <= blocks / 8 * 1.01 + 1e-6).all()
    assert np.allclose(e5.Q4.quantize(once.dequantize()).dequantize(), once.dequantize(), atol=1e-4)
