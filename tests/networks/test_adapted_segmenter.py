"""The composed network inside MONAI's own inference and training, untouched."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import PrepareBatchExtraInput, SupervisedEvaluator, SupervisedTrainer
from monai.inferers import SlidingWindowInferer, sliding_window_inference
from monai.losses import DiceCELoss
from torch import Tensor

from monai_lora_sam.networks import AdaptedSegmenter, TrainableState, build_segmenter, mixed_precision

Make = Callable[..., AdaptedSegmenter]
STRATEGIES = ("lora", "frozen", "last_n", "full")
VIEW = torch.tensor([[30.0, -20.0]])


def random_image(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


def items(count: int = 4) -> list[dict[str, Tensor]]:
    return [
        {
            "image": random_image(3, 28, 28, seed=i),
            "label": (random_image(1, 28, 28, seed=i + 100) > 0).float(),
            "view": torch.tensor([float("nan")] * 2) if i % 2 else VIEW[0],
        }
        for i in range(count)
    ]


def make_moved(network: AdaptedSegmenter) -> AdaptedSegmenter:
    """Give every trainable parameter another value, so that an adapter is no longer zero."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return network


def test_sliding_window_of_one_window_is_the_whole_image(random_segmenter: Make):
    network, image = random_segmenter().eval(), random_image(1, 3, 56, 56)
    with torch.no_grad():
        found = sliding_window_inference(image, (56, 56), 2, network, view=VIEW)
        torch.testing.assert_close(found, network(image, view=VIEW), atol=1e-5, rtol=0)


def test_sliding_windows_share_the_images_view(random_segmenter: Make):
    network, image = make_moved(random_segmenter("frozen")).eval(), random_image(1, 3, 56, 84)
    with torch.no_grad():
        # Windows side by side without overlap: each must be what the network says of it alone, at that view.
        found = sliding_window_inference(image, (28, 28), 3, network, overlap=0.0, view=VIEW)
        for row in (0, 28):
            for column in (0, 28, 56):
                window = (..., slice(row, row + 28), slice(column, column + 28))
                alone = network(image[window], view=VIEW)
                torch.testing.assert_close(found[window], alone, atol=1e-4, rtol=0)
        other = sliding_window_inference(image, (28, 28), 3, network, overlap=0.0, view=-VIEW)
    assert not torch.allclose(found, other)


def test_trains_and_validates_in_monais_engines(random_segmenter: Make):
    network = random_segmenter("lora")
    loader = DataLoader(Dataset(items()), batch_size=2)
    prepare = PrepareBatchExtraInput({"view": "view"})
    losses: list[float] = []
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=8,
        train_data_loader=loader,
        network=network,
        optimizer=torch.optim.AdamW(network.parameter_groups(0.01, 0.01)),
        loss_function=DiceCELoss(sigmoid=True),
        prepare_batch=prepare,
        decollate=False,
    )
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output["loss"].item())
    )
    trainer.run()
    assert losses[-1] < 0.9 * losses[0]

    evaluator = SupervisedEvaluator(
        device="cpu",
        val_data_loader=DataLoader(Dataset(items(1)), batch_size=1),
        network=network,
        prepare_batch=prepare,
        inferer=SlidingWindowInferer((28, 28)),
        decollate=False,
    )
    evaluator.run()
    assert evaluator.state.output["pred"].shape == (1, 1, 28, 28)


def test_takes_meta_tensors(random_segmenter: Make):
    network, image = random_segmenter().eval(), random_image(1, 3, 28, 28)
    with torch.no_grad():
        assert torch.equal(network(MetaTensor(image), view=MetaTensor(VIEW)), network(image, view=VIEW))


def test_mixed_precision_computes_in_bfloat16_and_answers_in_float32(
    random_segmenter: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(mixed_precision, "cpu_computes_bfloat16", lambda: True)
    image, seen = random_image(1, 3, 28, 28), []
    network = random_segmenter(mixed_precision=True).eval()
    network.head.classify.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    exact = random_segmenter(mixed_precision=False).eval()
    with torch.no_grad():
        logits, expected = network(image), exact(image)
    assert logits.dtype == torch.float32 and seen == [torch.bfloat16]
    assert not torch.equal(logits, expected)
    torch.testing.assert_close(logits, expected, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("size", [(1, 800, 600), (1, 512, 768), (4, 640, 480), (2, 5, 31)])
def test_any_size_gives_logits_of_that_size(random_segmenter: Make, size: tuple[int, int, int]):
    batch, height, width = size
    network, image = random_segmenter().eval(), random_image(batch, 3, height, width)
    rows, columns = (max(28, math.ceil(side / 14) * 14) for side in (height, width))
    padded = torch.zeros(batch, 3, rows, columns)
    padded[..., :height, :width] = image
    with torch.no_grad():
        logits = network(image)
        assert logits.shape == (batch, 1, height, width) and logits.isfinite().all()
        assert torch.equal(logits, network(image, network.read(image)))
        expected = network.head(network.features(padded), padded)[..., :height, :width]
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_a_size_that_the_encoder_takes_is_not_padded(random_segmenter: Make, monkeypatch: pytest.MonkeyPatch):
    network, image = random_segmenter("frozen").eval(), random_image(1, 3, 28, 42)
    monkeypatch.setattr("torch.nn.functional.pad", None)
    monkeypatch.setattr(network.stack, "forward", lambda image: image)
    assert network.read(image) is image


@pytest.mark.parametrize(("layers", "blocks"), [(None, 0), (1, 5), ([1], 1), (6, 0)])
def test_training_goes_on_from_the_blocks_that_it_leaves_as_they_are(
    random_segmenter: Make, layers, blocks: int
):
    network = random_segmenter(lora={"r": 2, "layers": layers, "dropout": 0.0}).train()
    assert network.fixed_blocks == blocks
    image, gradients = random_image(2, 3, 30, 28), []
    with torch.no_grad():
        stored = network.read(image)
    for features in (None, stored):
        network.zero_grad()
        network(image, features, view=VIEW.expand(2, -1)).square().mean().backward()
        gradients.append([p.grad.clone() for p in network.parameters() if p.requires_grad])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize(("strategy", "blocks"), [("frozen", None), ("last_n", 0), ("full", 0)])
def test_strategies_that_store_all_or_nothing(random_segmenter: Make, strategy: str, blocks: int | None):
    assert random_segmenter(strategy).fixed_blocks == blocks


def test_an_odd_size_trains(random_segmenter: Make):
    network = random_segmenter("lora").train()
    network(random_image(1, 3, 30, 28)).square().mean().backward()
    assert all(p.grad is not None for p in network.parameters() if p.requires_grad)


def test_the_encoder_itself_and_an_empty_image_are_refused(random_segmenter: Make):
    with pytest.raises(ValueError, match="nearest: 28 or 42"):
        random_segmenter().features(random_image(1, 3, 30, 28))
    with pytest.raises(ValueError, match="height 0 is not a size"):
        random_segmenter()(torch.zeros(1, 3, 0, 28))


def test_unknown_strategy(random_segmenter: Make):
    with pytest.raises(ValueError, match="strategy 'half'"):
        random_segmenter("half")


def expected_to_move(network: AdaptedSegmenter, strategy: str) -> set[str]:
    names = dict(network.named_parameters())
    head = {name for name in names if name.startswith("head.")}
    stack = set(names) - head
    if strategy == "lora":
        return head | {name for name in stack if "lora_" in name and ".vessels." in name}
    if strategy == "last_n":
        return head | {name for name in stack if ".layers.5." in name}  # the sixth of six blocks
    return head | (stack if strategy == "full" else set())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_exactly_the_strategys_parameters_move(random_segmenter: Make, strategy: str):
    network = random_segmenter(strategy).train()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimiser = torch.optim.AdamW(network.parameter_groups(0.01, 0.01))
    batch = next(iter(DataLoader(Dataset(items()), batch_size=4)))
    for _ in range(2):  # an adapter's A has no gradient before its B has moved
        optimiser.zero_grad()
        network(batch["image"], view=batch["view"]).square().mean().backward()
        optimiser.step()
    moved = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
    assert moved == expected_to_move(network, strategy)
    if strategy in ("lora", "frozen"):
        modules = network.stack.encoder.modules()
        assert not any(m.training for m in modules if not isinstance(m, torch.nn.Dropout))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_parameter_groups_hold_each_trained_parameter_once(random_segmenter: Make, strategy: str):
    network = random_segmenter(strategy)
    groups = {group["lr"]: group["params"] for group in network.parameter_groups(0.2, 0.1)}
    names = {id(p): name for name, p in network.named_parameters()}
    found = {rate: {names[id(p)] for p in group} for rate, group in groups.items()}
    expected = expected_to_move(network, strategy)
    base = {name for name in expected if name.startswith("stack.") and "lora_" not in name}
    assert found == ({0.2: expected - base, 0.1: base} if base else {0.2: expected})
    assert sum(map(len, groups.values())) == len(expected)


def test_a_second_stage_stands_on_the_first(random_segmenter: Make):
    first = make_moved(random_segmenter("lora"))
    image = random_image(1, 3, 28, 28)
    with torch.no_grad():
        before = first.eval()(image)
    second = make_moved(
        build_segmenter(
            first.stack,
            "view_segmentation",
            out_channels=3,
            name="segments",
            lora={"r": 2},
            width=8,
            mixed_precision=False,
        )
    )
    assert second.adapters == ("vessels", "segments")
    trained = {name for name, p in second.named_parameters() if p.requires_grad and name.startswith("stack.")}
    assert trained and all(".segments." in name for name in trained)
    with torch.no_grad():
        assert second.eval()(image).shape == (1, 3, 28, 28)
        assert torch.equal(first(image), before)  # each network switches its own adapters on


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_trainable_state_brings_a_fresh_network_to_the_same_output(random_segmenter: Make, strategy: str):
    network, image = make_moved(random_segmenter(strategy)).eval(), random_image(1, 3, 28, 28)
    state = {name: tensor.clone() for name, tensor in network.trainable.state_dict().items()}
    assert set(state) == expected_to_move(network, strategy)
    fresh = random_segmenter(strategy).eval()
    with torch.no_grad():
        expected = network(image)
        assert not torch.equal(fresh(image), expected)
        fresh.trainable.load_state_dict(state)
        assert torch.equal(fresh(image), expected)


@pytest.mark.parametrize("other", [{"strategy": "frozen"}, {"lora": {"r": 4}}, {"width": 16}])
def test_trainable_state_refuses_what_does_not_fit_and_changes_nothing(random_segmenter: Make, other: dict):
    state = random_segmenter("lora").trainable.state_dict()
    network = random_segmenter(**other)
    before = {name: p.clone() for name, p in network.named_parameters()}
    with pytest.raises(ValueError, match="does not fit what trains"):
        TrainableState(network).load_state_dict(state)
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
