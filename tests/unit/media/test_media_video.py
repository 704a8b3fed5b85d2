from itertools import pairwise

import numpy as np
import pytest

import media_samples as samples
from onesense.errors import DecodeError, EmptyInput, InvalidInput, TooLarge
from onesense.media.video import modality
from onesense.types import Limits, Part

KINDS = ["mp4", "mov", "webm", "mkv", "avi"]


def decode(source, **part):
    return modality.decode(source, Part(source, **part))


def level(frame):
    """Grey level right of the red bar."""
    return float(frame[:, 32:].mean())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_a_frame_a_second_and_the_sound(kind):
    video = decode(samples.video(kind, 3))
    assert video.frames.dtype == np.uint8
    assert video.frames.shape[1:] == (48, 64, 3)
    assert video.times_s.dtype == np.float32
    assert video.times_s[:3] == pytest.approx([0, 1, 2], abs=0.25)
    assert (np.diff(video.times_s) > 0).all()
    assert video.duration_s == pytest.approx(3, abs=0.25)
    assert video.sound.duration_s == pytest.approx(3, abs=0.1)
    assert level(video.frames[0]) < 6
    assert level(video.frames[-1]) == pytest.approx(40, abs=5)
    assert video.frames[:, 24, 4].astype(int) - [200, 30, 30] == pytest.approx(0, abs=8)


def test_without_sound():
    video = decode(samples.video("mp4", 2, with_sound=False))
    assert video.sound is None
    assert modality.preview(video) == "video 0:02.0 without sound"


def test_its_sound_can_be_left_out():
    source = samples.video("mp4", 2)
    assert decode(source).sound is not None
    assert decode(source, sound=False).sound is None


def test_a_stretch_has_its_frames_and_its_sound():
    source = samples.video("mp4", 12)
    video = decode(source, start_s=6.0, end_s=9.0)
    assert video.times_s.tolist() == [6.0, 7.0, 8.0]
    assert [round(level(f) / 20) for f in video.frames] == [6, 7, 8]
    assert video.sound.duration_s == pytest.approx(3.0)
    assert video.duration_s == pytest.approx(3.0)
    with pytest.raises(EmptyInput, match="between 50 s"):
        decode(source, start_s=50.0)


def test_the_rate_is_the_asked_one():
    source = samples.video("mp4", 2)
    assert decode(source, fps=5).times_s == pytest.approx(np.arange(10) / 5, abs=1e-3)
    assert decode(source, fps=0.5).times_s.tolist() == [0.0]
    assert len(decode(source, fps=24).frames) == 10  # it has no more
    for fps in (0, -1, 25, float("nan")):
        with pytest.raises(InvalidInput, match="fps"):
            decode(source, fps=fps)


def test_a_turned_video_is_upright():
    video = decode(samples.video("mp4", 1, turn=90, with_sound=False))
    assert video.frames.shape[1:] == (64, 48, 3)
    assert video.frames[0, -4, 24, 0] > 150  # the bar at the left has gone to the bottom
    assert video.frames[0, 3, 24, 0] < 50


def test_large_frames_are_reduced():
    video = decode(samples.video("mp4", 1, size=(1280, 720), with_sound=False))
    assert video.frames.shape == (1, 320, 569, 3)


def test_a_long_video_is_thinned_evenly_at_the_default_rate_only():
    source = samples.video("mp4", 21, with_sound=False)
    video = modality.decode(source, Part(source), Limits(max_frames=8))
    assert video.times_s.tolist() == [0, 4, 8, 12, 16, 20]
    with pytest.raises(TooLarge, match="lower fps"):
        modality.decode(source, Part(source, fps=1.0), Limits(max_frames=8))
    with pytest.raises(TooLarge, match="21 s of video"):
        modality.decode(source, Part(source), Limits(max_seconds=20))


def test_oversized_frames_are_refused():
    source = samples.video("mp4", 1)
    with pytest.raises(TooLarge, match="64x48"):
        modality.decode(source, Part(source), Limits(max_pixels=64 * 48 - 1))


@pytest.mark.parametrize("kind", KINDS)
def test_segments_are_windows_of_eight_seconds_that_overlap_where_no_shot_changes(kind):
    segments = list(modality.segments(samples.video(kind, 21)))
    assert segments[0].locator.start_s == 0
    assert segments[-1].locator.end_s == pytest.approx(21, abs=0.25)
    for before, after in pairwise(s.locator for s in segments):
        assert 4 <= before.end_s - before.start_s <= 12
        assert before.end_s - after.start_s in (0, 1)
    middle = segments[1].content.parts[0].value
    where = segments[1].locator
    assert middle.times_s == pytest.approx(np.arange(where.start_s, where.end_s), abs=0.25)
    assert middle.sound.duration_s == pytest.approx(where.end_s - where.start_s)
    assert all(s.modality == "video" for s in segments)


def test_a_change_of_shot_is_a_border():
    source = samples.shots([(10, (200, 30, 30)), (11, (20, 40, 220))])
    assert [(s.locator.start_s, s.locator.end_s) for s in modality.segments(source)] == [(0, 10), (10, 18), (17, 21)]
    found = [s.content.parts[0].value for s in modality.segments(source)]
    assert all(np.ptp(video.frames[:, 10, 10].astype(int), axis=0).max() < 10 for video in found)  # one colour each


def test_segments_are_the_same_every_time():
    source = samples.video("mp4", 21)
    first, second = ([s.content.parts[0].value for s in modality.segments(source)] for _ in range(2))
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(first, second, strict=True))
    assert all(np.array_equal(a.sound.samples, b.sound.samples) for a, b in zip(first, second, strict=True))


def test_a_short_rest_joins_the_window_before():
    segments = list(modality.segments(samples.video("mp4", 9, with_sound=False)))
    assert [(s.locator.start_s, s.locator.end_s) for s in segments] == [(0, 9)]
    assert len(segments[0].content.parts[0].value.frames) == 9


def test_sound_that_outlasts_the_picture_keeps_the_last_frame():
    source = samples.video("mkv", 1, sound_s=20.0)
    segments = list(modality.segments(source))
    assert [s.locator.start_s for s in segments] == [0, 8, 16]
    last = segments[-1].content.parts[0].value
    assert last.times_s.tolist() == [16.0]
    assert last.sound.duration_s == pytest.approx(4, abs=0.1)


def test_a_cut_video_yields_what_can_be_seen():
    whole = samples.video("mkv", 6)
    assert 1 <= len(decode(whole[: len(whole) // 2]).frames) < 6


def test_damage_is_named(capfd):
    whole = samples.video("mp4", 2)
    with pytest.raises(DecodeError):
        decode(whole[: whole.index(b"moov")])
    with pytest.raises(EmptyInput, match="without a frame"):
        list(modality.segments(samples.sound("mp4", samples.tone(1.0))))
    assert capfd.readouterr() == ("", "")
