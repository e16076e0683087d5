from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hashcore import metrics, pack
from hashcore.methods.decoding import confident_codes, expected_precision_codes
from hashcore.methods.label_codes import distant_codes


def expected_precision(codes: Tensor, p: Tensor, class_codes: Tensor, sizes: list[int]) -> Tensor:
    """Of every code, by ranking a database of class codes for each class that may be true."""
    classes, bits = class_codes.shape
    of_items = torch.arange(classes).repeat_interleave(torch.tensor(sizes))
    database = pack(class_codes[of_items].numpy())
    value = torch.zeros(len(codes))
    for true in range(classes):
        for i in range(len(codes)):
            report = metrics.evaluate(
                pack(codes[i : i + 1].numpy()),
                database,
                np.array([true]),
                of_items.numpy(),
                bits=bits,
            )
            value[i] += p[i, true] * report.map_tie_aware
    return value


def test_decoding_finds_nearly_the_best_of_all_codes() -> None:
    draw = torch.Generator().manual_seed(0)
    bits, sizes = 6, [30, 10, 50, 20]
    class_codes = distant_codes(4, bits, 0)
    p = torch.rand((5, 4), generator=draw).pow(2)
    p = p / p.sum(dim=1, keepdim=True)
    found = expected_precision_codes(p, class_codes, sizes)
    every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * bits)
    reached = expected_precision(found, p, class_codes, sizes)
    signs = torch.where((p - 0.25) @ class_codes > 0, 1.0, -1.0)
    plain = expected_precision(signs, p, class_codes, sizes)
    assert (reached >= plain - 0.01).all()  # its quantiles are no exact sum
    for i in range(len(p)):
        alike = p[i : i + 1].expand(len(every), 4)
        best = expected_precision(every, alike, class_codes, sizes).max()
        assert reached[i] > best - 0.03


def test_a_certain_class_has_its_code() -> None:
    class_codes = distant_codes(5, 16, 1)
    assert torch.equal(expected_precision_codes(torch.eye(5), class_codes, [4] * 5), class_codes)
    assert torch.equal(confident_codes(torch.eye(5), class_codes), class_codes)
    assert expected_precision_codes(torch.zeros(0, 5), class_codes, [4] * 5).shape == (0, 16)
    assert confident_codes(torch.zeros(0, 5), class_codes).shape == (0, 16)


def test_confident_codes_are_nearly_the_nearest_of_all_codes() -> None:
    bits = 8
    class_codes = distant_codes(4, bits, 0)
    p = torch.rand((20, 4), generator=torch.Generator().manual_seed(0)).pow(3)
    p = p / p.sum(dim=1, keepdim=True)
    every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * bits)

    def off(codes: Tensor) -> Tensor:
        wanted = torch.einsum("nc,ck,dk->nd", p**0.7, class_codes, class_codes)
        return ((codes[..., None, :] * class_codes).sum(dim=-1) - wanted).pow(2).sum(dim=-1)

    reached = off(confident_codes(p, class_codes))
    best = off(every[:, None].expand(-1, len(p), -1)).amin(dim=0)
    signs = torch.where(p @ class_codes > class_codes.mean(dim=0), 1.0, -1.0)
    assert (reached <= off(signs)).all()
    assert (reached == best).float().mean() > 0.5


def test_an_unsure_item_is_far_from_every_class() -> None:
    class_codes = distant_codes(4, 64, 0)
    p = torch.tensor([[0.97, 0.01, 0.01, 0.01], [0.4, 0.2, 0.2, 0.2]])
    sure, unsure = confident_codes(p, class_codes) @ class_codes[0]
    assert sure > 60
    assert unsure < 40
