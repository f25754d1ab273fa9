"""Loss of the vessel mask and the names of its segments together."""

from __future__ import annotations

from torch import Tensor, nn

from monai_lora_sam.coronary.losses.vessel_loss import VesselLoss


class VesselAndSegmentLoss(nn.Module):
    """Sum the vessel loss and the cross-entropy of the segment's class inside vessels.

    Pixels outside the labelled segments have no cross-entropy: the vessel loss finds vessels, and a background class
    would drown the others.

    Args:
        segment_weight: weight of the cross-entropy.

    Shapes:
        logits: (B, 1 + classes, H, W), the vessel's logit first; label: (B, 2, H, W), the vessel mask (0 or 1),
        then the segment's class, where 0 means no segment and gives no loss.

    Raises:
        ValueError: the label has not two channels.

    Example:
        >>> label = torch.ones(1, 2, 8, 8, dtype=torch.uint8)
        >>> VesselAndSegmentLoss()(torch.zeros(1, 27, 8, 8), label)
        tensor(1.6597)
    """

    def __init__(self, segment_weight: float = 0.2) -> None:
        super().__init__()
        self.vessel = VesselLoss()
        self.segment = nn.CrossEntropyLoss(ignore_index=0, reduction="sum")
        self.segment_weight = segment_weight

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        if label.ndim != 4 or label.shape[1] != 2:
            raise ValueError(
                f"expected a label (B, 2, H, W): vessel, segment; found shape {tuple(label.shape)}"
            )
        # Every second row and column, at a quarter of the cost: segments are wider than two pixels.
        segments = label[:, 1, ::2, ::2].long()
        # Divided by hand: an image without labelled segments gives 0, where the mean would give NaN.
        named = self.segment(logits[:, 1:, ::2, ::2].float(), segments) / (segments > 0).sum().clamp(min=1)
        return self.vessel(logits[:, :1], label[:, :1]) + self.segment_weight * named
