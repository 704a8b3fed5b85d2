"""The parts of the bundled model that are plain arithmetic."""

import json

import numpy as np
import pytest

from onesense.engine.backends._mini import compose, detail, graph, soft
from onesense.engine.backends._mini.package import FORMAT, Package, read_manifest
from onesense.errors import CorruptData


def test_unpack_reads_two_values_a_byte_and_scales_blocks_of_32():
    values = np.arange(64) % 16
    nibbles = (values[0::2] | (values[1::2] << 4)).astype(np.uint8)[None]
    row = graph.unpack(nibbles, np.array([[2.0, -0.5]], np.float32))[0]
    expected = (values - 8.0) * np.repeat([2.0, -0.5], 32)
    assert np.array_equal(row, expected.astype(np.float32))


def test_widen_adds_a_low_rank_branch_to_its_matrix():
    rng = np.random.default_rng(0)
    nibbles = rng.integers(0, 256, (70, 16), dtype=np.uint8)
    scales = rng.random((70, 1)).astype(np.float16)
    down, up = (rng.standard_normal(shape).astype(np.float16) for shape in ((32, 2), (2, 70)))
    stored = {"w.nibbles": nibbles, "w.scales": scales, "w.down": down, "w.up": up, "down": np.ones(3, np.float16)}
    wide = graph.widen(stored)
    expected = graph.unpack(nibbles, scales.astype(np.float32)) + (down.astype(np.float32) @ up.astype(np.float32)).T
    assert sorted(wide) == ["down", "w"]
    np.testing.assert_allclose(wide["w"], expected, atol=1e-5)


def test_widen_int8_and_keeps_indices():
    codes = np.array([[127, -127], [64, 0]], np.int8)
    stored = {"w.int8": codes, "w.scale": np.array([[0.5], [0.25]], np.float16), "rows": np.array([3, 4])}
    stored["scale"] = np.ones(3, np.float16)  # a weight that is called so, not a scale of another
    wide = graph.widen(stored)
    assert np.array_equal(wide["w"], [[63.5, -63.5], [16.0, 0.0]]) and wide["w"].dtype == np.float32
    assert wide["rows"].dtype == np.int64 and wide["scale"].tolist() == [1, 1, 1]


def test_lexical_sketch_tells_shared_words_from_others():
    weights = np.ones(1000, np.float16)
    base, near, far = (detail.lexical(ids, weights) for ids in ([1, 2, 3, 4], [1, 2, 3, 9], [20, 21, 22, 23]))
    assert abs(np.linalg.norm(base) - 1) < 1e-5
    assert base @ near > 0.6 > abs(base @ far) + 0.3
    assert not detail.lexical([], weights).any()


def test_detail_of_different_modalities_never_overlaps():
    rng = np.random.default_rng(1)
    text = detail.place({"text": detail.lexical([5, 6], np.ones(10, np.float16))})
    picture = detail.place({"picture": detail.features("picture", rng.standard_normal(1280).astype(np.float32))})
    sound = detail.place({"sound": detail.features("sound", rng.standard_normal(1024).astype(np.float32))})
    assert text @ picture == picture @ sound == sound @ text == 0
    for prefix in (384, 1152):  # a prefix keeps its fair share of the detail
        assert abs(float((picture[:prefix] ** 2).sum()) - prefix / detail.DETAIL) < 0.1


def test_sound_shares_leave_speech_out():
    logits = np.random.default_rng(2).standard_normal((3, 521)).astype(np.float32)
    shares = soft.sound_shares(logits, np.array([0, 1]))
    assert np.allclose(shares.sum(1), 1, atol=1e-5) and not shares[:, :2].any()
    assert ((shares > 0).sum(1) == soft.SOUND_TOP).all()


def test_picture_shares_are_a_softmax():
    logits = np.array([[1000.0, 999.0, -1000.0]], np.float32)
    shares = soft.picture_shares(logits, 1.0)
    assert np.allclose(shares, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0]], atol=1e-6)


def test_joined_takes_half_the_mean_away_and_adds_the_concept():
    mean = np.array([0.6, 0.0], np.float32)
    centre = np.array([[0.2, 0.0], [0.0, 0.0], [0.0, 0.4]], np.float32)
    bridge = {"head.mean": mean, "head.skip": np.float32(0.5), "head.centring": np.float32(0.5), "head.centre": centre}
    pooled = np.array([[3.0, 4.0]], np.float32)
    concept, share = np.array([[0.0, 1.0]], np.float32), np.array([[0.5]], np.float32)
    words_only = compose.joined(pooled, concept, share, np.zeros((1, 3), np.float32), bridge)
    assert np.allclose(words_only, [[0.6 - 0.3, 0.8 + 0.25]])
    half_picture_half_speech = compose.joined(pooled, concept, share, np.array([[0.5, 0, 0.5]], np.float32), bridge)
    assert np.allclose(words_only - half_picture_half_speech, [[0.05, 0.1]])


def test_soft_tokens_of_the_whole_alone_take_the_first_place():
    bridge = {
        "picture.gain": np.float32(2.0),
        "picture.path": np.zeros((4, 3), np.float32),
        "picture.place": np.arange(30, dtype=np.float32).reshape(10, 3),
    }
    one = compose.soft_tokens("picture", np.ones((1, 3), np.float32), np.zeros((1, 4), np.float32), bridge)
    assert np.array_equal(one, [[2.0, 3.0, 4.0]])


@pytest.fixture
def folder(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    import hashlib

    digest = hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    manifest = {"format": FORMAT, "revision": "r", "files": {"a.npz": {"sha256": digest, "bytes": 1}}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return tmp_path


def test_package_reads_what_the_manifest_promises(folder):
    assert Package(folder).arrays("a.npz")["x"].tolist() == [0, 1, 2]
    assert Package(folder).verify() == ["a.npz"]


def test_package_refuses_damaged_missing_and_foreign_files(folder):
    content = bytearray((folder / "a.npz").read_bytes())
    content[-1] ^= 1
    (folder / "a.npz").write_bytes(content)
    with pytest.raises(CorruptData, match="damaged"):
        Package(folder).file("a.npz")
    with pytest.raises(CorruptData, match="lacks"):
        Package(folder).file("b.npz")
    (folder / "manifest.json").write_text('{"format": "other"}', encoding="utf-8")
    with pytest.raises(CorruptData, match="format"):
        Package(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(CorruptData, match="no model"):
        read_manifest(folder)
