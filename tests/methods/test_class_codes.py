from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hashcore import metrics, pack
from hashcore.methods import METHODS, Batch, ClassCoded, LabelEncoder, class_codes
from hashcore.methods.class_codes import (
    class_likelihood,
    confident_codes,
    distant_codes,
    expected_precision_codes,
)
from methods import oracles
from methods.oracles import LABELS, outputs
from methods.problems import FEATURES, B, C, K, batch, begin, small

EXCLUSIVE = torch.eye(C, dtype=torch.bool)[torch.arange(B) % C]
SEVERAL = batch(FEATURES).labels


@pytest.fixture
def quick_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_codes, "_LABEL_STEPS", 20)


def coded(name: str, labels: Tensor) -> ClassCoded:
    return ClassCoded(small(name, {}, FEATURES), LabelEncoder.fit(labels, K, 0), 2.0)


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


@pytest.mark.parametrize("exclusive", [True, False])
def test_heads_start_at_the_frequencies_of_the_classes(exclusive: bool, quick_labels: None) -> None:
    labels = EXCLUSIVE if exclusive else torch.rand(400, C).lt(0.1)
    network = coded("dth", labels)
    for head in (network.image_head, network.text_head):
        start = head.bias.softmax(0) if exclusive else head.bias.sigmoid()
        assert torch.allclose(start, labels.float().mean(dim=0), atol=0.1 if exclusive else 2e-3)


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


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS.keys())
def test_class_likelihood(labels: Tensor) -> None:
    exclusive = bool((labels.sum(dim=1) == 1).all())

    def oracle(logits: Tensor) -> Tensor:
        terms = []
        for row, classes in zip(logits, labels, strict=True):
            if exclusive:
                terms.append(-(row[classes].sum() - torch.log(torch.exp(row).sum())) / len(labels))
                continue
            for logit, holds in zip(row, classes, strict=True):
                likely = 1 / (1 + torch.exp(-logit))
                each = -torch.log(likely if holds else 1 - likely)
                terms.append(each / max(int(labels.sum()), 1))
        return torch.stack(terms).sum()

    oracles.assert_equal(
        lambda logits: class_likelihood(logits, labels, exclusive=exclusive),
        oracle,
        outputs(1, len(labels), labels.shape[1]),
    )


@pytest.mark.parametrize("labels", [EXCLUSIVE, SEVERAL], ids=["exclusive", "several"])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.usefixtures("quick_labels")
def test_every_method_can_have_codes_of_classes(name: str, labels: Tensor) -> None:
    torch.manual_seed(0)
    wrapped, drawn = coded(name, labels), batch(FEATURES)
    data = Batch(drawn.image, drawn.text, labels, drawn.rows)
    begin(wrapped, data)
    first = wrapped.phases()[0]
    terms = wrapped.losses(data, first.name)
    assert terms.terms["classes"].weight == 2.0
    terms.total.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in first.parameters)
    held = [id(p) for phase in wrapped.phases() for p in phase.parameters]
    learned = [id(p) for p in wrapped.parameters() if p.requires_grad]
    assert sorted(held) == sorted(learned)
    wrapped.eval()
    for encoded in (
        wrapped.encode_image(data.image),
        wrapped.encode_side("query", "text", data.text),
        wrapped.encode_side("database", "image", data.image),
    ):
        assert encoded.shape == (B, K)


def test_the_method_embeds_its_own_outputs() -> None:
    wrapped, data = coded("dth", EXCLUSIVE), batch(FEATURES)
    seen: list[Tensor] = []

    def embed_all() -> tuple[Tensor, Tensor]:
        seen.append(wrapped.encode_image(data.image))
        return seen[0], wrapped.encode_text(data.text)

    wrapped.eval()
    wrapped.begin_epoch(0, 1, embed_all)
    assert torch.equal(seen[0], wrapped.method.encode_image(data.image))
    assert not torch.equal(wrapped.encode_image(data.image), seen[0])
