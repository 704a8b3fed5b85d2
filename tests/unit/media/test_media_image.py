import io

import numpy as np
import pytest
from PIL import Image as pil
from PIL import ImageCms

import media_samples as samples
from onesense.errors import DecodeError, TooLarge
from onesense.media.image import modality
from onesense.types import Image, Limits, Part

PATTERN = samples.pattern()


def decode(source, **limits):
    return modality.decode(source, Part(source), Limits(**limits)).pixels


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_pixels_are_kept(kind):
    assert np.array_equal(decode(samples.picture(kind)), PATTERN)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF", "AVIF", "HEIF"])
def test_lossy_pixels_are_near(kind):
    pixels = decode(samples.picture(kind))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - PATTERN).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_is_turned(kind, orientation):
    stored = {1: PATTERN, 2: PATTERN[:, ::-1], 3: PATTERN[::-1, ::-1], 4: PATTERN[::-1], 5: PATTERN.transpose(1, 0, 2),
              6: np.rot90(PATTERN), 7: np.rot90(PATTERN, 2).transpose(1, 0, 2), 8: np.rot90(PATTERN, 3)}  # fmt: skip
    exif = pil.Exif()
    exif[0x0112] = orientation
    source = samples.picture(kind, np.ascontiguousarray(stored[orientation]), exif=exif.tobytes(), quality=95)
    pixels = decode(source)
    assert pixels.shape == PATTERN.shape
    assert np.abs(pixels.astype(int) - PATTERN).mean() < 8


def test_broken_exif_leaves_the_pixels():
    assert decode(samples.picture("JPEG", exif=b"Exif\0\0garbage!")).shape == PATTERN.shape


def test_alpha_is_laid_on_white():
    ink = np.zeros((4, 4, 4), np.uint8)
    ink[0, 0] = (10, 20, 30, 255)
    ink[1, 1] = (0, 0, 0, 51)  # 20 % black
    pixels = decode(samples.picture("PNG", ink))
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert pixels[1, 1].tolist() == [204, 204, 204]
    assert pixels[3, 3].tolist() == [255, 255, 255]


def test_alpha_of_grey_and_of_palettes():
    grey = decode(samples.picture("PNG", pil.new("LA", (2, 2), (0, 0))))
    assert (grey == 255).all()
    palette = pil.new("P", (2, 2), 0)
    palette.putpalette([9, 9, 9, 200, 0, 0])
    palette.putpixel((1, 1), 1)
    pixels = decode(samples.picture("PNG", palette, transparency=0))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[1, 1].tolist() == [200, 0, 0]


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [("1", 1, 255), ("L", 77, 77), ("I;16", 65535, 255), ("I;16", 32768, 128), ("F", 0.5, 128), ("I", 65535, 255)],
)
def test_grey_of_every_depth(mode, colour, expected):
    kind = "TIFF" if mode in {"F", "I"} else "PNG"
    assert decode(samples.picture(kind, pil.new(mode, (3, 2), colour)))[0, 0].tolist() == [expected] * 3


def test_deep_values_beyond_their_range_are_stretched():
    ramp = pil.fromarray(np.array([[-100.0, 0.0, 300.0]], np.float32))
    assert decode(samples.picture("TIFF", ramp))[0, :, 0].tolist() == [0, 64, 255]


def test_cmyk_is_converted():
    pixels = decode(samples.picture("JPEG", pil.new("CMYK", (8, 8), (0, 255, 255, 0)), quality=95))
    assert pixels[4, 4, 0] > 240
    assert pixels[4, 4, 1:].max() < 20


def test_an_icc_profile_is_converted_to_srgb():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    assert decode(samples.picture("PNG", icc_profile=lab)).shape == PATTERN.shape  # of another space: left out
    swapped = _swapped_profile()
    pixels = decode(samples.picture("PNG", pil.new("RGB", (4, 4), (255, 0, 0)), icc_profile=swapped))
    assert pixels[0, 0, 2] > 200
    assert pixels[0, 0, 0] < 90


def _swapped_profile() -> bytes:
    """An sRGB profile whose red and blue primaries have changed places."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def test_a_broken_profile_is_left_out():
    assert np.array_equal(decode(samples.picture("PNG", icc_profile=b"nonsense")), PATTERN)


@pytest.mark.parametrize(("kind", "shape"), [("JPEG", (325, 425, 3)), ("PNG", (448, 586, 3))])
def test_large_pictures_keep_one_to_two_sides(kind, shape):
    pixels = decode(samples.picture(kind, samples.pattern(1300, 1700)))
    assert pixels.shape == shape  # a JPEG is decoded at a quarter, a PNG is scaled
    assert np.abs(pixels.astype(int) - samples.pattern(*shape[:2])).mean() < 3


def test_a_model_that_looks_closer_gets_more_pixels():
    source = samples.picture("JPEG", samples.pattern(1300, 1700))
    assert decode(source, image_side=800).shape == (1300, 1700, 3)


def test_a_turned_large_jpeg_keeps_its_shape():
    exif = pil.Exif()
    exif[0x0112] = 6
    assert decode(samples.picture("JPEG", samples.pattern(1300, 1700), exif=exif.tobytes())).shape == (425, 325, 3)


@pytest.mark.parametrize(
    ("size", "shape"), [((1, 1), (1, 1, 3)), ((1, 20_000), (1, 4096, 3)), ((9000, 3), (4096, 1, 3))]
)
def test_extreme_shapes(size, shape):
    height, width = size
    assert decode(samples.picture("PNG", np.zeros((height, width, 3), np.uint8))).shape == shape


def test_an_animation_gives_its_first_frame():
    frames = [pil.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    pixels = decode(samples.picture("GIF", frames[0], save_all=True, append_images=frames[1:]))
    assert pixels[4, 4].tolist() == [255, 0, 0] or pixels[4, 4, 0] > 250


def test_a_bomb_is_refused_by_its_header():
    with pytest.raises(TooLarge, match="200 megapixels"):
        decode(samples.png_header(20_000, 10_000))
    with pytest.raises(TooLarge):
        decode(samples.png_header(2**31 - 1, 2**31 - 1))
    assert decode(samples.picture("PNG"), max_pixels=64 * 48).shape == PATTERN.shape
    with pytest.raises(TooLarge):
        decode(samples.picture("PNG"), max_pixels=64 * 48 - 1)


def test_a_picture_between_pillows_warning_and_our_limit_is_tried_without_a_warning():
    with pytest.raises(DecodeError):  # 100 megapixels are allowed; this one only has a few bytes of them
        decode(samples.png_header(10_000, 10_000))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_half_a_picture_is_refused(kind, share, tmp_path):
    whole = samples.picture(kind, np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    file = tmp_path / "cut"
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DecodeError, match="damaged picture"):
        decode(file)


def test_pillow_is_left_as_it_was():
    before = pil.MAX_IMAGE_PIXELS
    decode(samples.picture("HEIF"))
    assert before == pil.MAX_IMAGE_PIXELS
    with pytest.raises(pil.UnidentifiedImageError):  # the HEIF reader is not registered for the whole process
        pil.open(io.BytesIO(samples.picture("HEIF")))


def test_a_picture_is_one_segment(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(samples.picture("PNG"))
    (segment,) = modality.segments(file)
    assert segment.modality == "image"
    assert segment.preview == "picture, 64x48 as read"
    assert segment.locator.to_dict() == {}
    value = segment.content.parts[0].value
    assert isinstance(value, Image)
    assert np.array_equal(value.pixels, PATTERN)
