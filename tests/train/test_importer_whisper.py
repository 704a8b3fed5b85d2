"""The imported encoder against CTranslate2's own. Needs the fetched sources: `python -m onesense.train.sources`."""

import json

import numpy as np
import pytest
import torch

from onesense.engine.backends._mini.logmel import whisper_logmel
from onesense.errors import CorruptData
from onesense.train import sources
from onesense.train.importers import whisper
from onesense.train.model.ear import Encoder

pytestmark = pytest.mark.sources


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.imported(whisper.read(sources.path("whisper")))


def chirps(seconds: float) -> np.ndarray:
    """A voice-like sound: a gliding buzz with pauses and some noise."""
    t = np.arange(int(seconds * 16_000)) / 16_000
    pitch = 120 + 40 * np.sin(2 * np.pi * 1.3 * t)
    buzz = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / 16_000)) * (np.sin(2 * np.pi * 2.1 * t) > -0.3)
    return (0.2 * buzz + 0.01 * np.random.default_rng(0).standard_normal(len(t))).astype(np.float32)


def test_encoder_equals_ctranslate2(encoder: Encoder, tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2")
    (tmp_path / "model.bin").symlink_to(sources.path("whisper").resolve())
    config = {"suppress_ids": [], "suppress_ids_begin": [], "alignment_heads": [], "lang_ids": []}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "vocabulary.json").write_text(json.dumps([str(i) for i in range(51_865)]))
    theirs = ctranslate2.models.Whisper(str(tmp_path), compute_type="float32", intra_threads=1)
    mel = whisper_logmel(chirps(4.0), tail_s=26.0)[None]
    reference = np.array(theirs.encode(ctranslate2.StorageView.from_array(mel)))
    with torch.no_grad():
        ours = encoder(torch.from_numpy(mel)).numpy()
    cosine = (ours * reference).sum(-1) / np.linalg.norm(ours, axis=-1) / np.linalg.norm(reference, axis=-1)
    assert ours.shape == (1, 1500, 512)
    assert cosine.min() > 0.999
    assert np.abs(ours - reference).max() < 0.05 * np.abs(reference).max()


def test_parts_in_the_wrong_order_or_missing_are_refused(tmp_path):
    content = sources.path("whisper").read_bytes()
    broken = tmp_path / "model.bin"
    half = len(content) // 2
    for damaged in (content[:half], content[half:] + content[:half], content + b"\0", b""):
        broken.write_bytes(damaged)
        with pytest.raises(CorruptData):
            whisper.read(broken)


def test_states_move_little_without_padding_to_30_s(encoder: Encoder):
    """What makes short clips cheap: half a second of silence stands for the padding."""
    clip = chirps(4.0)
    with torch.no_grad():
        short = encoder(torch.from_numpy(whisper_logmel(clip))[None])[0, :200]
        full = encoder(torch.from_numpy(whisper_logmel(clip, tail_s=26.0))[None])[0, :200]
        bare = encoder(torch.from_numpy(whisper_logmel(clip, tail_s=0.0))[None])[0, :200]
    tailed, cut = (torch.cosine_similarity(x, full).mean() for x in (short, bare))
    assert tailed > 0.85 and tailed > cut
