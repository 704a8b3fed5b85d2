import threading

import numpy as np
import pytest

import media_samples as samples
from onesense.errors import DecodeError, EmptyInput, InvalidInput, TooLarge
from onesense.media.audio import clock, modality
from onesense.types import Audio, Limits, Part

KINDS = ["wav", "float_wav", "mp3", "flac", "ogg", "opus", "m4a", "aac", "mka"]


def decode(source, **part):
    return modality.decode(source, Part(source, **part)).samples


def hertz(sound):
    """The strongest frequency."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(spectrum.argmax() * 16_000 / len(sound))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_the_same_tone(kind):
    sound = decode(samples.sound(kind, samples.tone(1.0)))
    assert sound.dtype == np.float32
    assert sound.ndim == 1
    assert len(sound) == pytest.approx(16_000, abs=2_100)  # AAC without a container has padding at both ends
    assert hertz(sound) == pytest.approx(440, abs=2)
    assert np.abs(sound).max() == pytest.approx(0.5, abs=0.08)


def test_lossless_samples_are_kept():
    assert np.abs(decode(samples.sound("float_wav", samples.tone(0.5))) - samples.tone(0.5)).max() < 1e-6
    assert np.abs(decode(samples.sound("flac", samples.tone(0.5))) - samples.tone(0.5)).max() < 1e-4


def test_other_rates_are_resampled():
    sound = decode(samples.sound("wav", samples.tone(2.0, rate_hz=44_100), rate_hz=44_100))
    assert len(sound) == pytest.approx(32_000, abs=20)
    assert hertz(sound) == pytest.approx(440, abs=1)


def test_the_sound_of_a_video():
    assert hertz(decode(samples.video("mp4", 2))) == pytest.approx(440, abs=2)
    with pytest.raises(EmptyInput, match="no sound"):
        decode(samples.video("mp4", 1, with_sound=False))


@pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "ogg", "m4a", "mka"])
def test_a_stretch_is_cut_to_the_sample(kind):
    rising = np.concatenate([samples.tone(1.0, 200.0 + 100 * n) for n in range(12)])
    sound = decode(samples.sound(kind, rising), start_s=7.0, end_s=8.0)
    assert len(sound) == 16_000
    assert hertz(sound) == pytest.approx(900, abs=2)
    assert hertz(sound[:2000]) == pytest.approx(900, abs=20)
    assert hertz(sound[-2000:]) == pytest.approx(900, abs=20)


def test_a_stretch_beyond_the_end_is_empty():
    tone = samples.sound("wav", samples.tone(1.0))
    assert len(decode(tone, start_s=0.5, end_s=99)) == 8_000
    with pytest.raises(EmptyInput, match="between 5 s and 6 s"):
        decode(tone, start_s=5, end_s=6)


@pytest.mark.parametrize(
    "part",
    [
        {"start_s": -1.0},
        {"start_s": 3.0, "end_s": 2.0},
        {"end_s": 0.0},
        {"start_s": float("nan")},
        {"start_s": float("inf")},
        {"end_s": float("nan")},
    ],
)
def test_impossible_stretches_are_refused(part):
    with pytest.raises(InvalidInput, match="not possible"):
        decode(samples.sound("wav", samples.tone(1.0)), **part)


def test_zero_seconds_is_empty():
    header = samples.sound("wav", samples.tone(0.1))[:-3200]
    with pytest.raises(EmptyInput):
        decode(header)


def test_a_cut_file_yields_what_can_be_heard():
    whole = samples.sound("mp3", samples.tone(4.0))
    assert 1.5 < len(decode(whole[: len(whole) // 2])) / 16_000 < 2.5


def test_a_file_damaged_for_the_greater_part_is_refused():
    whole = bytearray(samples.sound("m4a", samples.tone(2.0)))
    start = whole.index(b"mdat") + 4
    end = whole.index(b"moov")
    whole[start : end - 4] = np.random.default_rng(0).bytes(end - 4 - start)
    with pytest.raises(DecodeError, match="damaged"):
        decode(bytes(whole))


def test_a_file_without_its_index_is_refused():
    whole = samples.sound("m4a", samples.tone(1.0))
    with pytest.raises(DecodeError):
        decode(whole[: whole.index(b"moov")])


def test_wild_floats_become_sound():
    wild = samples.tone(0.5)
    wild[100:110] = np.nan
    wild[200:210] = np.inf
    wild[300:310] = 1e9
    sound = decode(samples.sound("float_wav", wild))
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() <= 1.0


def test_an_absurd_rate_is_refused():
    header = bytearray(samples.sound("wav", samples.tone(0.5)))
    header[24:28] = (1).to_bytes(4, "little")
    with pytest.raises(DecodeError, match="1 samples per second"):
        decode(bytes(header))


def test_more_seconds_than_are_held_at_once():
    tone = samples.sound("wav", samples.tone(3.0))
    with pytest.raises(TooLarge, match="start_s and end_s"):
        modality.decode(tone, Part(tone), Limits(max_seconds=2))
    with pytest.raises(TooLarge, match="hours"):
        list(modality.segments(tone, Limits(max_stream_s=2)))


def test_segments_cover_the_sound_with_an_overlap():
    segments = list(modality.segments(samples.sound("flac", samples.tone(31.0))))
    spans = [(s.locator.start_s, s.locator.end_s) for s in segments]
    assert spans == [(0.0, 10.0), (9.5, 19.5), (19.0, 31.0)]
    assert [s.preview for s in segments] == ["sound 0:10", "sound 0:10", "sound 0:12"]
    assert len(segments[1].content.parts[0].value.samples) == 160_000


def test_silent_windows_are_left_out_unless_all_is_silent():
    mixed = np.concatenate([samples.tone(11.0), np.zeros(16_000 * 20, np.float32), samples.tone(11.0)])
    spans = [(s.locator.start_s, s.locator.end_s) for s in modality.segments(samples.sound("wav", mixed))]
    assert spans[0][0] == 0.0
    assert spans[-1][1] == 42.0
    assert sum(end - start for start, end in spans) < 36
    quiet = list(modality.segments(samples.sound("wav", np.zeros(16_000 * 25, np.float32))))
    assert len(quiet) == 1
    with pytest.raises(EmptyInput):
        list(modality.segments(samples.sound("wav", samples.tone(0.1))[:-3200]))


def test_one_path_from_many_threads(tmp_path):
    file = tmp_path / "tone.mp3"
    file.write_bytes(samples.sound("mp3", samples.tone(3.0)))
    expected, found = decode(file), []
    threads = [threading.Thread(target=lambda: found.append(decode(file))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(found) == 8
    assert all(np.array_equal(sound, expected) for sound in found)


def test_nothing_is_printed_about_damage(capfd):
    whole = bytearray(samples.sound("mp3", samples.tone(2.0)))
    whole[2000:3000] = bytes(1000)
    decode(bytes(whole))
    assert capfd.readouterr() == ("", "")


def test_preview_tells_the_length():
    assert modality.preview(Audio(np.zeros(16_000 * 75, np.float32))) == "sound 1:15"
    assert clock(0.25) == "0:00.2"
    assert clock(59.9) == "1:00"
