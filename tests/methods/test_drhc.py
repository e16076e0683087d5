from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hashcore.methods import DRHC, DRHCConfig, losses, relevance
from hashcore.ops import OPS, OpsName
from methods import oracles
from methods.oracles import outputs
from methods.problems import FEATURES, SMALL, batch, begin, small


def ranges(u: Tensor, target: Tensor) -> dict[str, Tensor]:
    """R of one modality as loops over its values."""
    excess = [abs(x) - 1 for x in u.ravel()]
    pairs = zip(u.ravel(), target.ravel(), strict=True)
    return {
        "dsh": oracles.mean([abs(e) + 0.7 * torch.clamp(e, min=0) for e in excess]),
        "cubic": oracles.mean([abs(e) ** 3 for e in excess]),
        "polarisation": oracles.mean([torch.clamp(0.8 - x * t, min=0) for x, t in pairs]),
    }


@pytest.mark.parametrize("equal", [False, True], ids=["random", "all equal"])
@pytest.mark.parametrize("relaxation", ["dsh", "cubic", "polarisation"])
@pytest.mark.parametrize("ops", OPS)
def test_range_terms(equal: bool, relaxation: str, ops: OpsName) -> None:
    changes = {"relaxation": relaxation, "range_weight": 0.7, "polar_margin": 0.8}
    method: Any = small("drhc", changes, FEATURES)
    method.compute_with(OPS[ops])

    def oracle(u: Tensor, v: Tensor) -> Tensor:
        target = torch.where(u + v > 0, 1.0, -1.0).double()
        return ranges(u, target)[relaxation] + ranges(v, target)[relaxation]

    drawn = (oracles.equal_outputs(),) * 2 if equal else (outputs(9), outputs(10))
    oracles.assert_equal(method._range, oracle, *drawn)


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
    similar = relevance.shared_labels(data.labels, data.labels) > 0
    joint = torch.where(u + v > 0, 1.0, -1.0)
    expected = {
        "ranking": losses.bidirectional_ranking(OPS["reference"], u, v, data.labels, 0.3),
        "pair": losses.pair_loss(losses.cosine_distance(u, v), similar, 0.5),
        "range": ranges(u, joint)[relaxation] + ranges(v, joint)[relaxation],
    }
    found = method.losses(data, "main").detached()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value.detach())
