"""Small media files made by code, so that tests need no committed media: each function returns the bytes of a file."""

import functools
import hashlib
import io
import struct
import zlib

import av
import numpy as np
from PIL import Image

RATE_HZ = 16_000


def pattern(height: int = 48, width: int = 64) -> np.ndarray:
    """A picture that is unlike itself turned or mirrored; uint8 [H, W, 3], red to the right, a blue corner."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width).astype(np.uint8)[None, :]
    pixels[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    pixels[: height // 4, : width // 4, 2] = 255
    return pixels


def picture(kind: str, pixels: np.ndarray | Image.Image | None = None, **options) -> bytes:
    """A picture file of a Pillow format, or HEIF."""
    if not isinstance(pixels, Image.Image):
        pixels = Image.fromarray(pattern() if pixels is None else pixels)
    stream = io.BytesIO()
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.from_pillow(pixels).save(stream, **options)
    else:
        pixels.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares any size and holds a few bytes of it."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def tone(seconds: float, hertz: float = 440.0, rate_hz: int = RATE_HZ) -> np.ndarray:
    """float32 [S], half of full scale."""
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


_SOUNDS = {
    "wav": ("wav", "pcm_s16le", "s16"),
    "float_wav": ("wav", "pcm_f32le", "flt"),
    "mp3": ("mp3", "libmp3lame", "fltp"),
    "flac": ("flac", "flac", "s16"),
    "ogg": ("ogg", "vorbis", "fltp"),
    "opus": ("ogg", "libopus", "flt"),
    "m4a": ("ipod", "aac", "fltp"),
    "aac": ("adts", "aac", "fltp"),
    "mp4": ("mp4", "aac", "fltp"),
    "mka": ("matroska", "aac", "fltp"),
}


def sound(kind: str, samples: np.ndarray, rate_hz: int = RATE_HZ) -> bytes:
    """A mono sound file."""
    container, codec, layout = _SOUNDS[kind]
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as out:
        channels = "stereo" if codec == "vorbis" else "mono"  # FFmpeg's own Vorbis encoder knows no other
        track = out.add_stream(codec, rate=rate_hz, layout=channels, options={"strict": "experimental"})
        _encode_sound(out, track, samples, rate_hz, layout)
    return stream.getvalue()


def _encode_sound(out, track, samples, rate_hz, layout) -> None:
    resampler = av.AudioResampler(layout, track.layout.name, track.rate)
    for at in range(0, len(samples), 1024):
        block = np.ascontiguousarray(samples[at : at + 1024])[None, :]
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout="mono")
        frame.sample_rate, frame.pts = rate_hz, at
        for ready in resampler.resample(frame):
            out.mux(track.encode(ready))
    for ready in resampler.resample(None):
        out.mux(track.encode(ready))
    out.mux(track.encode(None))


_VIDEOS = {
    "mp4": ("mp4", "libx264", "aac", "fltp"),
    "mov": ("mov", "mpeg4", "aac", "fltp"),
    "webm": ("webm", "libvpx-vp9", "libopus", "flt"),
    "mkv": ("matroska", "libx264", "aac", "fltp"),
    "avi": ("avi", "mpeg4", "libmp3lame", "fltp"),
}


@functools.cache
def video(kind: str, seconds: float, *, with_sound=True, sound_s=None, fps=5, turn=0, size=(64, 48)) -> bytes:
    """A video whose second n is grey of level 20 n (mod 240), with a 440 Hz tone of the same length."""
    container, codec, sound_codec, layout = _VIDEOS[kind]
    width, height = size
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as out:
        track = out.add_stream(codec, rate=fps)
        track.width, track.height, track.pix_fmt = width, height, "yuv420p"
        if turn:
            track.set_display_rotation(turn)
        tone_track = out.add_stream(sound_codec, rate=48_000, layout="mono") if with_sound else None
        for n in range(round(seconds * fps)):
            pixels = np.full((height, width, 3), 20 * (n // fps) % 240, np.uint8)
            pixels[:, : width // 4] = (200, 30, 30)  # a red bar at the left, which tells a turn
            out.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(track.encode(None))
        if tone_track:
            _encode_sound(out, tone_track, tone(sound_s or seconds, rate_hz=48_000), 48_000, layout)
    return stream.getvalue()


def shots(scenes: list[tuple[int, tuple[int, int, int]]]) -> bytes:
    """A silent MP4 of scenes of one colour: seconds and RGB of each."""
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as out:
        track = out.add_stream("libx264", rate=5)
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for seconds, colour in scenes:
            for _ in range(5 * seconds):
                pixels = np.full((48, 64, 3), colour, np.uint8)
                out.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(track.encode(None))
    return stream.getvalue()


def pdf(texts: list[str], *, password: str | None = None, media_box: str = "0 0 300 400") -> bytes:
    """A PDF with one line of Helvetica a page, and with `password` encrypted by RC4 of 40 bits (ISO 32000-1, 7.6)."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(texts)))
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(texts)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    secret = _Secret(password) if password is not None else None
    for n, text in enumerate(texts):
        number = 5 + 2 * n
        drawing = f"BT /F1 24 Tf 30 300 Td ({text}) Tj ET".encode("latin-1") if text else b""
        drawing = secret.hidden(drawing, number) if secret else drawing
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [{media_box}] /Contents {number} 0 R"
        objects.append(f"{page} /Resources << /Font << /F1 3 0 R >> >> >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing))
    if secret:
        objects.append(secret.dictionary)
    return _pdf_file(objects, secret)


def _pdf_file(objects: list[bytes], secret: "_Secret | None") -> bytes:
    out, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    extra = (
        b"/Encrypt %d 0 R /ID [<%s> <%s>]" % (len(objects), secret.id.hex().encode(), secret.id.hex().encode())
        if secret
        else b""
    )
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (size, extra, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s%s" % (size, table, trailer)


_PAD = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")


class _Secret:
    """The standard security handler of revision 2: owner and user have the same password."""

    id = bytes(16)

    def __init__(self, password: str) -> None:
        padded = (password.encode() + _PAD)[:32]
        owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
        self._key = hashlib.md5(padded + owner + struct.pack("<i", -4) + self.id).digest()[:5]
        user = _rc4(self._key, _PAD)
        names = b"/O <%s> /U <%s>" % (owner.hex().encode(), user.hex().encode())
        self.dictionary = b"<< /Filter /Standard /V 1 /R 2 /P -4 %s >>" % names

    def hidden(self, content: bytes, number: int) -> bytes:
        """The content of an object, encrypted."""
        return _rc4(hashlib.md5(self._key + struct.pack("<I", number)[:3] + b"\0\0").digest()[:10], content)


def _rc4(key: bytes, content: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out, i, j = bytearray(), 0, 0
    for byte in content:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)
