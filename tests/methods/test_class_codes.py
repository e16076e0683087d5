from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hashcore.methods import METHODS, Batch, ClassCoded, LabelEncoder, label_codes
from hashcore.methods.class_codes import class_likelihood
from methods import oracles
from methods.oracles import LABELS, outputs
from methods.problems import FEATURES, B, C, K, batch, begin, small

EXCLUSIVE = torch.eye(C, dtype=torch.bool)[torch.arange(B) % C]
SEVERAL = batch(FEATURES).labels


@pytest.fixture
def quick_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_codes, "_LABEL_STEPS", 20)


def coded(name: str, labels: Tensor) -> ClassCoded:
    return ClassCoded(small(name, {}, FEATURES), LabelEncoder.fit(labels, K, 0), 2.0)


@pytest.mark.parametrize("exclusive", [True, False])
def test_heads_start_at_the_frequencies_of_the_classes(exclusive: bool, quick_labels: None) -> None:
    labels = EXCLUSIVE if exclusive else torch.rand(400, C).lt(0.1)
    network = coded("dth", labels)
    for head in (network.image_head, network.text_head):
        start = head.bias.softmax(0) if exclusive else head.bias.sigmoid()
        assert torch.allclose(start, labels.float().mean(dim=0), atol=0.1 if exclusive else 2e-3)


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
