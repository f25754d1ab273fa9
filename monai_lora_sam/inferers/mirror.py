"""Average a network's answers to an image and to its mirror image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from monai.inferers import Inferer, SimpleInferer
from torch import Tensor, nn


class MirrorInferer(Inferer):
    """Run a network on images and on their mirror images, and return the mean of both logits.

    MONAI's ``TestTimeAugmentation`` works on one item of a data set, by invertible random transforms; this is an
    ``Inferer`` for evaluators, around any other one.

    Args:
        inferer: runs the network each time; None for MONAI's ``SimpleInferer``.
        mirrored: functions that return a named argument of the network as it is for the mirror image, such as view
            angles.

    Shapes:
        inputs: (B, C, ..., W); the last axis is mirrored.

    Raises:
        ValueError: in the call, a named argument that is not None and that no function mirrors.

    Example:
        >>> MirrorInferer()(torch.tensor([[[1.0, 2.0]]]), lambda x: x.cumsum(-1))
        tensor([[[2.0000, 2.5000]]])
    """

    def __init__(
        self, inferer: Inferer | None = None, mirrored: Mapping[str, Callable[[Any], Any]] | None = None
    ) -> None:
        super().__init__()
        self.inferer = SimpleInferer() if inferer is None else inferer
        self.mirrored = dict(mirrored or {})

    def __call__(  # type: ignore[override]
        self, inputs: Tensor, network: nn.Module | Callable[..., Tensor], **arguments: Any
    ) -> Tensor:
        given = {name: value for name, value in arguments.items() if value is not None}
        if unknown := sorted(given.keys() - self.mirrored.keys()):
            raise ValueError(
                f"{', '.join(unknown)}: expected an argument that can be mirrored, one of {sorted(self.mirrored)}"
            )
        turned = {name: self.mirrored[name](value) for name, value in given.items()}
        straight = self.inferer(inputs, network, **arguments)
        opposite = self.inferer(inputs.flip(-1), network, **{**arguments, **turned})
        return (straight + opposite.flip(-1)) / 2
