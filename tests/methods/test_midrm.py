from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hashcore.methods import MIDRM, Batch, MIDRMConfig
from methods.problems import FEATURES, SMALL, batch, begin, small


def terms(labels: Tensor, **changes: Any) -> dict[str, float]:
    """The loss terms of a batch with these labels, from the same weights every time."""
    data, method = batch(FEATURES), small("midrm", changes, FEATURES).eval()
    begin(method, data)
    found = method.losses(Batch(data.image, data.text, labels, data.rows), "main").detached()
    return {name: float(value) for name, value in found.items()}


@pytest.mark.parametrize("common", [None, 40])
def test_the_common_subspace_has_rows_of_length_one(common: int | None) -> None:
    method = MIDRM(MIDRMConfig(branch=SMALL, common=common), FEATURES).eval()
    data = batch(FEATURES)
    for embedding in (method.embed_image(data.image), method.embed_text(data.text)):
        assert embedding.shape == (len(data), common or FEATURES.bits)
        torch.testing.assert_close(embedding.norm(dim=1), torch.ones(len(data)))


def test_a_subspace_of_its_own_width_is_projected_on_orthonormal_directions() -> None:
    method = MIDRM(MIDRMConfig(branch=SMALL, common=40), FEATURES).eval()
    data, directions = batch(FEATURES), method.directions
    assert directions is not None
    assert directions.shape == (40, FEATURES.bits)
    torch.testing.assert_close(directions.T @ directions, torch.eye(FEATURES.bits))
    torch.testing.assert_close(
        method.encode_image(data.image), method.embed_image(data.image) @ directions
    )
    assert "directions" in method.state_dict()


def test_without_a_width_the_axes_are_the_bits() -> None:
    method = MIDRM(MIDRMConfig(branch=SMALL), FEATURES).eval()
    data = batch(FEATURES)
    assert torch.equal(method.encode_text(data.text), method.embed_text(data.text))
    assert "directions" not in method.state_dict()


def test_only_the_graded_loss_sees_how_many_labels_are_shared() -> None:
    any_shared = batch(FEATURES).labels.clone()
    any_shared[:, 0] = True  # every pair shares a label, some share more
    assert terms(any_shared, graded=True)["ranking"] > 0
    assert terms(any_shared, graded=False)["ranking"] == 0


def test_hard_mining_reads_fewer_triplets_that_cost_more() -> None:
    labels = batch(FEATURES).labels
    every, hardest = (terms(labels, graded=False, mining=m) for m in ("all", "hardest"))
    assert hardest["ranking"] > every["ranking"] > 0
    assert hardest["pair"] == every["pair"]
