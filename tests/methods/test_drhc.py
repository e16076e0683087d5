from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hashcore.methods import DRHC, DRHCConfig, drhc
from methods import oracles
from methods.oracles import outputs
from methods.problems import FEATURES, SMALL, batch, begin


@pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])
def test_range_terms(equal: bool) -> None:
    u = oracles.equal_outputs() if equal else outputs(9)
    target = torch.where(outputs(10) > 0, 1.0, -1.0).double()

    def dsh(u: Tensor) -> Tensor:
        excess = [abs(x) - 1 for x in u.ravel()]
        return oracles.mean([abs(e) + 0.7 * torch.clamp(e, min=0) for e in excess])

    def cubic(u: Tensor) -> Tensor:
        return oracles.mean([abs(abs(x) - 1) ** 3 for x in u.ravel()])

    def polarisation(u: Tensor) -> Tensor:
        pairs = zip(u.ravel(), target.ravel(), strict=True)
        return oracles.mean([torch.clamp(0.8 - x * t, min=0) for x, t in pairs])

    oracles.assert_equal(lambda u: drhc.range_dsh(u, 0.7), dsh, u)
    oracles.assert_equal(drhc.range_cubic, cubic, u)
    oracles.assert_equal(lambda u: drhc.range_polarisation(u, target, 0.8), polarisation, u)


def test_tanh_sharpens_from_epoch_to_epoch() -> None:
    config = DRHCConfig(branch=SMALL, relaxation="tanh", tanh_growth=8.0)
    method = DRHC(config, FEATURES).eval()
    data = batch(FEATURES)
    sizes = []
    for epoch in range(4):
        begin(method, data, epoch)
        sizes.append(float(method.encode_image(data.image).abs().mean().detach()))
        assert float(method.beta) == pytest.approx(8.0 ** (epoch / 3))
    assert sizes == sorted(sizes)
    assert "beta" in method.state_dict()  # a stored method keeps its real-valued outputs
    assert "range" not in method.losses(data, "main").terms
