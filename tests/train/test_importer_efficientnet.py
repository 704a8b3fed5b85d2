"""EfficientNet-lite as imported, against the reference implementation that the checkpoints were published for."""

import numpy as np
import pytest
import torch

from onesense.errors import CorruptData
from onesense.train import sources
from onesense.train.importers import efficientnet
from onesense.train.model.eye import LITE0, LITE2

pytestmark = pytest.mark.sources


def _pictures(resolution):
    """Two pictures with structure: noise smoothed at several scales."""
    generator = torch.Generator().manual_seed(0)
    layers = [
        torch.nn.functional.interpolate(
            torch.rand(2, 3, size, size, generator=generator), (resolution, resolution), mode="bilinear"
        )
        for size in (4, 16, 64)
    ]
    return (sum(layers) / 3 * 255).to(torch.uint8)


@pytest.mark.parametrize("config", [LITE0, LITE2], ids=lambda c: c.name)
def test_features_and_logits_equal_the_reference(config):
    reference_package = pytest.importorskip("efficientnet_lite_pytorch")
    path = sources.path(config.name)
    reference = reference_package.EfficientNet.from_name(config.name.replace("eye_", "efficientnet-"))
    reference.load_state_dict(torch.load(path, weights_only=True), strict=True)
    reference.eval()
    imported = efficientnet.load(path, config)
    pixels = _pictures(config.resolution)
    with torch.no_grad():
        cells, pooled = imported.eye(pixels)
        normalised = (pixels.float() - 127) / 128
        expected = reference.extract_features(normalised)
        expected_logits = reference(normalised).numpy()
    assert cells.shape == expected.shape
    assert torch.nn.functional.cosine_similarity(cells.flatten(1), expected.flatten(1)).min() > 0.9999
    logits = pooled.numpy() @ imported.weight.T + imported.bias
    np.testing.assert_allclose(logits, expected_logits, atol=1e-3)


def test_the_wrong_size_is_refused():
    with pytest.raises(CorruptData, match="_blocks"):
        efficientnet.load(sources.path(LITE0.name), LITE2)
    with pytest.raises(CorruptData, match=r"shape|no place|no tensor"):
        efficientnet.load(sources.path(LITE2.name), LITE0)


def test_another_resolution_keeps_the_weights():
    small = efficientnet.load(sources.path(LITE2.name), LITE2, 224)
    cells, _ = small.eye(_pictures(224))
    assert cells.shape == (2, 1280, 7, 7)
