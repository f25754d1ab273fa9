"""The mean over an image and its mirror image: against a manual one, with conditions, inside an evaluator."""

from __future__ import annotations

import pytest
import torch
from monai.engines import PrepareBatchExtraInput, SupervisedEvaluator
from monai.inferers import SlidingWindowInferer
from torch import Tensor, nn

from monai_lora_sam.inferers import MirrorInferer


class Lopsided(nn.Module):
    """A convolution whose kernel is not symmetric, plus the view's first angle times the columns."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, image: Tensor, view: Tensor | None = None) -> Tensor:
        logits = self.convolution(image)
        if view is None:
            return logits
        return logits + view[:, :1, None, None] * torch.arange(image.shape[-1])


IMAGE, VIEW = torch.rand(2, 1, 12, 16), torch.tensor([[30.0, 5.0], [-10.0, 0.0]])
SIGNS = torch.tensor([-1.0, 1.0])


def by_hand(network: nn.Module) -> Tensor:
    opposite = network(torch.flip(IMAGE, [3]), view=torch.stack([-VIEW[:, 0], VIEW[:, 1]], 1))
    return 0.5 * network(IMAGE, view=VIEW) + 0.5 * torch.flip(opposite, [3])


def test_it_is_the_mean_by_hand():
    network = Lopsided()
    inferer = MirrorInferer(mirrored={"view": lambda view: view * SIGNS})
    with torch.no_grad():
        torch.testing.assert_close(inferer(IMAGE, network, view=VIEW), by_hand(network))
        assert not torch.allclose(inferer(IMAGE, network, view=VIEW), network(IMAGE, view=VIEW), atol=1e-3)
        without = inferer(IMAGE, network, view=None)
        torch.testing.assert_close(
            without, inferer(IMAGE.flip(-1), network).flip(-1)
        )  # it commutes with mirrors


def test_around_windows_and_in_an_evaluator():
    network = Lopsided()
    with torch.no_grad():
        tiled = MirrorInferer(SlidingWindowInferer((12, 8), overlap=0.5))(IMAGE, network)
        straight = SlidingWindowInferer((12, 8), overlap=0.5)(IMAGE, network)
    assert tiled.shape == straight.shape and not torch.equal(tiled, straight)
    items = [{"image": IMAGE, "label": IMAGE, "view": VIEW}]
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=items,
        network=network,
        inferer=MirrorInferer(mirrored={"view": lambda view: view * SIGNS}),
        prepare_batch=PrepareBatchExtraInput({"view": "view"}),
        decollate=False,
    )
    evaluator.run()
    torch.testing.assert_close(evaluator.state.output["pred"], by_hand(network).detach())


def test_an_argument_without_a_rule_is_refused():
    with pytest.raises(
        ValueError, match=r"features: expected an argument that can be mirrored, one of \['view'\]"
    ):
        MirrorInferer(mirrored={"view": torch.neg})(IMAGE, Lopsided(), features=IMAGE)
