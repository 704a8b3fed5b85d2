import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from onesense.media._windows import Reader, windows

RATE_HZ = 16_000


def blocks(sound, size):
    return (sound[at : at + size] for at in range(0, len(sound), size))


@given(seconds=st.floats(0.01, 60), size=st.integers(300, 50_000), seed=st.integers(0, 9))
@settings(deadline=None, max_examples=25)
def test_windows_cover_everything_and_hold_the_right_samples(seconds, size, seed):
    sound = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE_HZ)).astype(np.float32)
    covered = 0
    for first, samples in windows(blocks(sound, size)):
        assert first <= covered
        assert len(samples) <= 14 * RATE_HZ
        assert np.array_equal(samples, sound[first : first + len(samples)])
        covered = first + len(samples)
    assert covered == len(sound)


def test_a_pause_near_the_border_is_where_it_is_cut():
    sound = np.random.default_rng(0).normal(0, 0.1, 30 * RATE_HZ).astype(np.float32)
    sound[round(8.9 * RATE_HZ) : round(9.3 * RATE_HZ)] = 0
    cuts = [(first / RATE_HZ, (first + len(samples)) / RATE_HZ) for first, samples in windows([sound])]
    assert 8.9 < cuts[0][1] < 9.3
    assert cuts[1][0] == cuts[0][1]  # no overlap at a pause


def test_memory_does_not_grow_with_length():
    made = 0

    def endless():
        nonlocal made
        while True:
            made += 1
            yield np.full(RATE_HZ, 0.1, np.float32)

    stream = windows(endless())
    for _ in range(20):
        next(stream)
    assert made < 20 * 10 + 20


def test_reader_takes_across_blocks():
    reader = Reader(blocks(np.arange(10, dtype=np.float32), 3))
    assert reader.take(4).tolist() == [0, 1, 2, 3]
    assert reader.take(0).tolist() == []
    assert reader.take(4).tolist() == [4, 5, 6, 7]
    assert reader.take(4).tolist() == [8, 9]
    assert reader.take(4).tolist() == []
