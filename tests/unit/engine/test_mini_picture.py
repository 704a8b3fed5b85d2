"""The eye's input: the whole picture, squashed to a square."""

import numpy as np
import pytest

from onesense.engine.backends._mini.picture import RESOLUTION, prepare
from onesense.errors import InvalidInput


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (600, 40), (224, 224), (1200, 1600)])
def test_every_size_becomes_the_same_square(size):
    square = prepare(np.full((*size, 3), 77, np.uint8))
    assert square.shape == (3, RESOLUTION, RESOLUTION)
    assert square.dtype == np.uint8
    assert square.flags.c_contiguous
    assert (square == 77).all()


def test_nothing_is_cropped_and_channels_stay_apart():
    wide = np.zeros((60, 300, 3), np.uint8)
    wide[:, :30, 0] = 255  # red at the left edge
    wide[:, -30:, 2] = 255  # blue at the right edge
    red, green, blue = prepare(wide)
    assert red[:, :10].min() > 200
    assert blue[:, -10:].min() > 200
    assert green.max() == 0
    assert red[:, 112].max() == 0


def test_a_square_of_the_right_size_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (RESOLUTION, RESOLUTION, 3), np.uint8)
    np.testing.assert_array_equal(prepare(pixels), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=["grey", "alpha", "float", "empty"],
)
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(InvalidInput, match="uint8"):
        prepare(wrong)
