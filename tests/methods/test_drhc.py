from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hashcore.methods import DRHC, DRHCConfig, drhc, losses, relevance
from methods import oracles
from methods.oracles import outputs
from methods.problems import FEATURES, SMALL, batch, begin, small


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


@pytest.mark.parametrize("relaxation", ["dsh", "cubic", "polarisation"])
def test_terms_are_made_of_these_losses(relaxation: str) -> None:
    changes = {"relaxation": relaxation, "range_weight": 0.7, "polar_margin": 0.8, "margin": 0.3}
    method, data = small("drhc", changes, FEATURES).eval(), batch(FEATURES)
    begin(method, data)
    u, v = method.encode_image(data.image), method.encode_text(data.text)
    r = relevance.shared_labels(data.labels, data.labels)
    distance, joint = losses.cosine_distance(u, v), losses.joint_codes(u, v)
    ranges: dict[str, Callable[[Tensor], Tensor]] = {
        "dsh": lambda x: drhc.range_dsh(x, 0.7),
        "cubic": drhc.range_cubic,
        "polarisation": lambda x: drhc.range_polarisation(x, joint, 0.8),
    }
    expected = {
        "ranking": losses.bidirectional_ranking(distance, r, 0.3, graded=True),
        "pair": losses.pair_loss(distance, r > 0, 0.5),
        "range": ranges[relaxation](u) + ranges[relaxation](v),
    }
    found = method.losses(data, "main").detached()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach())
