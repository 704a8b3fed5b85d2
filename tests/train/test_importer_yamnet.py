"""YAMNet as imported, against TensorFlow Lite's interpreter on the same file.

The interpreter rounds every activation to 8 bits. With its rounding put back into the float network the two agree to
.999; without it the logits still agree to .99, and what is left is the interpreter's noise, not ours.
"""

import numpy as np
import pytest
import torch

from onesense.engine.backends._mini.logmel import yamnet_logmel
from onesense.errors import CorruptData
from onesense.train import sources
from onesense.train.importers import tflite, yamnet

pytestmark = pytest.mark.sources

_INPUT, _STEM, _FIRST_LAYER, _EMBEDDING, _LOGITS = 60, 63, 64, 90, 91  # tensors of the file


def _sounds():
    """Patches of a chord, of clicks, of a sweep and of pink-ish noise."""
    t = np.arange(16_000) / 16_000
    rng = np.random.default_rng(0)
    clips = [
        sum(np.sin(2 * np.pi * f * t) for f in (220, 277, 330)) / 4,
        (np.arange(16_000) % 2_000 < 20) * 0.8,
        np.sin(2 * np.pi * (100 * t + 1_500 * t**2)) * 0.5,
        np.cumsum(rng.normal(0, 0.02, 16_000)) * np.hanning(16_000) * 0.3,
    ]
    return [yamnet_logmel(clip.astype(np.float32))[:96] for clip in clips]


def _cosine(a, b):
    a, b = np.ravel(a), np.ravel(b)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


class _Interpreter:
    def __init__(self, path):
        litert = pytest.importorskip("ai_edge_litert.interpreter")
        plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self.engine = litert.Interpreter(
            str(path), experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True
        )
        self.engine.allocate_tensors()
        self.scales = {d["index"]: d["quantization"] for d in self.engine.get_tensor_details()}

    def __call__(self, patch):
        self.engine.set_tensor(0, patch[None])
        self.engine.invoke()
        return [self._values(i) for i in (_EMBEDDING, _LOGITS)]

    def _values(self, index):
        scale, zero = self.scales[index]
        return (self.engine.get_tensor(index).astype(np.float32) - zero) * scale


def _rounded_forward(sound, graph, patch):
    """The float network with the interpreter's rounding after every layer."""

    def rounded(x, index):
        scale, zero = float(graph.tensors[index].scales[0]), float(graph.tensors[index].zero_points[0])
        return (torch.clamp(torch.round(x / scale + zero), -128, 127) - zero) * scale

    x = rounded(sound.stem(rounded(torch.from_numpy(patch)[None, None], _INPUT)), _STEM)
    for i, layer in enumerate(sound.layers):
        x = rounded(layer.depthwise(x), _FIRST_LAYER + 2 * i)
        x = rounded(layer.pointwise(x).clamp(0, 6), _FIRST_LAYER + 2 * i + 1)
    embedding = rounded(x.mean((2, 3)), _EMBEDDING)
    return embedding.numpy(), sound.classifier(embedding).numpy()


def test_equals_the_interpreter_once_its_rounding_is_put_back():
    path = sources.path("yamnet")
    sound, graph, interpreter = yamnet.load(path), tflite.read(path), _Interpreter(path)
    for patch in _sounds():
        embedding, logits = interpreter(patch)
        ours = _rounded_forward(sound, graph, patch)
        assert _cosine(ours[1], logits) > 0.999
        assert _cosine(ours[0], embedding) > 0.995
        plain = sound(torch.from_numpy(patch)[None])[1].numpy()
        assert _cosine(plain, logits) > 0.99
        assert 0.8 < np.linalg.norm(plain) / np.linalg.norm(logits) < 1.25


def test_a_cut_or_foreign_file_is_refused(tmp_path):
    whole = sources.path("yamnet").read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("foreign", b"\0" * 64), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CorruptData):
            yamnet.load(tmp_path / name)


def test_a_file_with_other_layers_is_refused():
    other = sources.data_root() / "teachers/tf2_mobilenet_v2_1.0_224_ptq.tflite"
    with pytest.raises(CorruptData, match=r"reader|order"):
        yamnet.load(other)
