"""The adapter in NumPy and in torch."""

import numpy as np
import torch

from onesense.engine.backends._mini import ear
from onesense.train.model.ear import Adapter

RNG = np.random.default_rng(0)


def test_numpy_and_torch_agree():
    torch.manual_seed(0)
    net = Adapter(hidden=16)
    for value in net.state_dict().values():
        value.copy_(torch.rand_like(value) * 0.1 + 0.01)
    features = RNG.standard_normal((5, ear.FEATURES)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(features)).numpy()
    assert np.allclose(net.numpy()(features), expected, rtol=1e-3, atol=1e-3)
