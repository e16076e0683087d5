from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hashcore.methods import METHODS, Batch, ClassCoded, LabelEncoder, label_codes
from hashcore.methods.class_codes import Classifier, class_likelihood
from methods import oracles
from methods.oracles import LABELS, outputs
from methods.problems import FEATURES, B, C, K, batch, begin, small

EXCLUSIVE = torch.eye(C, dtype=torch.bool)[torch.arange(B) % C]
SEVERAL = batch(FEATURES).labels


@pytest.fixture
def quick_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_codes, "_LABEL_STEPS", 20)


def coded(name: str, labels: Tensor, members: int = 1) -> ClassCoded:
    methods = [small(name, {}, FEATURES) for _ in range(members)]
    return ClassCoded(methods, LabelEncoder.fit(labels, K, 0), 2.0)


def member(network: ClassCoded, number: int = 0) -> Classifier:
    found = network.members[number]
    assert isinstance(found, Classifier)
    return found


@pytest.mark.parametrize("exclusive", [True, False])
def test_heads_start_at_the_frequencies_of_the_classes(exclusive: bool, quick_labels: None) -> None:
    labels = EXCLUSIVE if exclusive else torch.rand(400, C).lt(0.1)
    network = member(coded("dth", labels))
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
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.usefixtures("quick_labels")
def test_every_method_can_have_codes_of_classes(name: str, labels: Tensor, members: int) -> None:
    torch.manual_seed(0)
    wrapped, drawn = coded(name, labels, members), batch(FEATURES)
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


def test_every_member_embeds_its_own_outputs() -> None:
    wrapped, data = coded("dth", EXCLUSIVE, 2), batch(FEATURES)
    seen: list[Tensor] = []

    def embed_all() -> tuple[Tensor, Tensor]:
        seen.append(wrapped.encode_image(data.image))
        return seen[-1], wrapped.encode_text(data.text)

    wrapped.eval()
    wrapped.begin_epoch(0, 1, embed_all)
    for number, own in enumerate(seen):
        assert torch.equal(own, member(wrapped, number).outputs("image", data.image))
    assert len(seen) == 2
    assert not torch.equal(wrapped.encode_image(data.image), seen[0])


@pytest.mark.parametrize("labels", [EXCLUSIVE, SEVERAL], ids=["exclusive", "several"])
@pytest.mark.usefixtures("quick_labels")
def test_members_differ_and_their_probabilities_are_averaged(labels: Tensor) -> None:
    torch.manual_seed(0)
    wrapped, data = coded("dth", labels, 3).eval(), batch(FEATURES)
    each = []
    for number in range(3):
        logits = member(wrapped, number).logits("text", data.text)
        each.append(logits.softmax(dim=1) if labels is EXCLUSIVE else logits.sigmoid())
    assert not torch.allclose(each[0], each[1])
    mean = (each[0] + each[1] + each[2]) / 3
    assert torch.allclose(wrapped.probabilities("text", data.text), mean)
    assert torch.allclose(wrapped.encode_text(data.text), wrapped.encoder(mean), atol=1e-5)


def test_a_member_learns_as_it_would_alone() -> None:
    torch.manual_seed(0)
    wrapped, data = coded("dth", EXCLUSIVE, 2).eval(), batch(FEATURES)
    begin(wrapped, data)
    alone = ClassCoded([member(wrapped, 1).method], wrapped.encoder, wrapped.weight)
    alone.members[0] = member(wrapped, 1)
    together = wrapped.losses(data, "main").total
    weights = list(member(wrapped, 1).parameters())
    gradients = torch.autograd.grad(together, weights)
    expected = torch.autograd.grad(alone.losses(data, "main").total, weights)
    for got, want in zip(gradients, expected, strict=True):
        assert torch.allclose(2 * got, want, atol=1e-6)
