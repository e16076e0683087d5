from __future__ import annotations

import pytest
import torch

from hashcore import metrics, pack
from hashcore.methods import LabelEncoder
from hashcore.methods.label_codes import distant_codes
from methods.problems import B, C

EXCLUSIVE = torch.eye(C, dtype=torch.bool)[torch.arange(B) % C]


@pytest.mark.parametrize(
    ("count", "bits"), [(10, 64), (10, 16), (2, 1), (24, 16), (5, 100), (1, 8)]
)
def test_distant_codes(count: int, bits: int) -> None:
    codes = distant_codes(count, bits, 0)
    assert codes.shape == (count, bits)
    assert set(codes.unique().tolist()) <= {-1.0, 1.0}  # type: ignore[no-untyped-call]
    assert torch.equal(codes, distant_codes(count, bits, 0))
    distances = [int((a != b).sum()) for i, a in enumerate(codes) for b in codes[:i]]
    if bits in (16, 64) and count <= bits:  # rows of a Hadamard matrix of that very size
        assert set(distances) == {bits // 2}


def test_labels_of_exclusive_classes_get_their_class_codes() -> None:
    encoder = LabelEncoder.fit(EXCLUSIVE, 32, 3)
    assert encoder.exclusive
    assert torch.equal(encoder.codes, distant_codes(C, 32, 3))
    assert torch.equal(encoder(EXCLUSIVE.float()) > 0, encoder.codes[EXCLUSIVE.int().argmax(1)] > 0)
    assert encoder.class_sizes.tolist() == EXCLUSIVE.sum(dim=0).tolist()


def test_labels_of_several_classes_rank_each_other() -> None:
    torch.manual_seed(0)
    labels = torch.rand((300, 12), generator=torch.Generator().manual_seed(1)) < 0.12
    encoder = LabelEncoder.fit(labels, 32, 0)
    assert not encoder.exclusive
    assert not any(p.requires_grad for p in encoder.parameters())
    codes = pack((encoder(labels.float())).numpy())
    found = metrics.evaluate(codes, codes, labels.numpy(), labels.numpy(), bits=32)
    assert found.map_tie_aware > 0.7 > 3 * found.chance
    encoder.train()
    assert not encoder.layers.training  # its statistics are those of the labels
