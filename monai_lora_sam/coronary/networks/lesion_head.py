"""Find lesions in a map of features: where, how large, how narrow."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import roi_align

from monai_lora_sam.coronary.networks.view_angle_encoder import FiLM, ViewAngleEncoder
from monai_lora_sam.networks import ConvBlock, resize_to

#: The heatmap starts at this probability everywhere (Lin et al., ICCV 2017, section 4.1).
PRIOR = 0.1
#: Samples along each side of a box when its content is pooled.
POOLED = 7


class LesionHead(nn.Module):
    """Predict lesions as points with a size (CenterNet, Zhou et al. 2019), %DS and MLD for each.

    A small U-Net on the map gives the heatmap of the boxes' centres, the offset of the centre from its cell
    and the logarithm of the box's sides. %DS and MLD are read from the box: the map is sampled in it (RoIAlign,
    He et al., ICCV 2017) and averaged with the vessel's probability as weight, so that it is pooled along the
    vessel and not over the background.

    Args:
        in_channels: of the map; the last ``probability_channels`` of it are vessel probabilities.
        stride: pixels of the network's image per cell of the map.
        width: channels. 256 (SAM 3) gives about 5 M parameters.
        probability_channels: how many channels hold the vessel's probability, in finer cells.
        candidates: boxes that are read where none are given: the highest peaks of the heatmap.
        jitter: in training given boxes are shifted and scaled by up to this fraction of their sides, as
            predicted ones will be.

    Shapes:
        read: (B, in_channels, h, w); view: (B, 2) degrees, NaN where unknown, or None;
        boxes: (B, M, 4 or more) as x0, y0, x1, y1, … in the network's pixels, NaN where there is none, or None.
        Returns a dict of float32 tensors: ``heatmap`` (B, 1, h, w) logits; ``offset`` (B, 2, h, w) in cells
        from the cell's centre, x first; ``size`` (B, 2, h, w), log of width and height in cells; ``boxes``
        (B, K, 4) in the network's pixels and ``score`` (B, K), those that were read: the given ones (M, score
        NaN) or the peaks; ``percent_diameter_stenosis`` (B, K), 0 to 100; ``mld_px`` (B, K), network's pixels.

    Raises:
        ValueError: if the map has other channels.

    Example:
        >>> output = LesionHead(in_channels=20, stride=3.5, width=8)(torch.rand(1, 20, 16, 16))
        >>> output["heatmap"].shape, output["boxes"].shape
        (torch.Size([1, 1, 16, 16]), torch.Size([1, 20, 4]))
    """

    head_type = "lesions"

    def __init__(
        self,
        in_channels: int,
        stride: float,
        width: int = 48,
        probability_channels: int = 16,
        candidates: int = 20,
        jitter: float = 0.15,
    ) -> None:
        super().__init__()
        self.in_channels, self.stride, self.width = in_channels, stride, width
        self.probability_channels, self.candidates, self.jitter = probability_channels, candidates, jitter

        self.enter = nn.Sequential(nn.Conv2d(in_channels, width, 1), ConvBlock(width, width))
        self.view_encoder = ViewAngleEncoder(width)
        self.film = FiLM(width, width)
        self.down = nn.ModuleList(ConvBlock(width, width, stride=2) for _ in range(2))
        self.up = nn.ModuleList(ConvBlock(width, width) for _ in range(2))

        self.detect = ConvBlock(width, width)
        self.heatmap = nn.Conv2d(width, 1, 1)
        self.offset = nn.Conv2d(width, 2, 1)
        self.size = nn.Conv2d(width, 2, 1)
        nn.init.constant_(self.heatmap.bias, math.log(PRIOR / (1 - PRIOR)))  # type: ignore[arg-type]
        nn.init.constant_(self.size.bias, math.log(8.0))  # type: ignore[arg-type]

        # Mean and maximum along the vessel, and the box's own sides.
        self.measure = nn.Sequential(
            nn.Linear(2 * width + 2, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, 2),
        )

    @property
    def config(self) -> dict[str, float]:
        """The arguments that build this head again."""
        return {
            "in_channels": self.in_channels,
            "stride": self.stride,
            "width": self.width,
            "probability_channels": self.probability_channels,
            "candidates": self.candidates,
        }

    def forward(
        self, read: Tensor, view: Tensor | None = None, boxes: Tensor | None = None
    ) -> dict[str, Tensor]:
        if read.ndim != 4 or read.shape[1] != self.in_channels:
            raise ValueError(f"expected a map (B, {self.in_channels}, h, w), found shape {tuple(read.shape)}")
        if view is None:
            view = read.new_full((1, 2), float("nan"))
        levels = [self.film(self.enter(read), self.view_encoder(view.to(read.device)))]
        for down in self.down:
            levels.append(down(levels[-1]))
        trunk = levels.pop()
        for up in self.up:
            level = levels.pop()
            trunk = up(level + resize_to(trunk, level))

        shared = self.detect(trunk)
        # Logits and sides in float32: bfloat16's 8 bits would put neighbouring peaks on one value.
        found = {name: getattr(self, name)(shared).float() for name in ("heatmap", "offset", "size")}
        score = None
        if boxes is None:
            boxes, score = find_peaks(found, self.stride, self.candidates)
        else:
            boxes = boxes[..., :4].to(read.device, torch.float32)
            score = boxes.new_full(boxes.shape[:2], float("nan"))
            if self.training:
                boxes = jitter_boxes(boxes, self.jitter)
        percent, mld = self._measure(trunk, read[:, -self.probability_channels :], boxes)
        return {**found, "boxes": boxes, "score": score, "percent_diameter_stenosis": percent, "mld_px": mld}

    def _measure(self, trunk: Tensor, probability: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Read %DS and MLD from each box; a box of NaN gives numbers without meaning."""
        with torch.autocast(trunk.device.type, enabled=False):
            # Where there is no box, some box: no shape depends on how many there are.
            usable = torch.where(boxes.isnan(), boxes.new_tensor([0.0, 0.0, 1.0, 1.0]), boxes).detach()
            sampled = torch.cat([trunk.float(), probability.float().mean(1, keepdim=True)], dim=1)
            pooled = roi_align(
                sampled, list(usable), POOLED, spatial_scale=1 / self.stride, sampling_ratio=2, aligned=True
            )  # (B · K, width + 1, 7, 7)
            features, weight = pooled[:, :-1], pooled[:, -1:].clamp(min=1e-3)
            mean = (features * weight).sum((2, 3)) / weight.sum((2, 3))
            maximum = (features * weight).amax((2, 3))
            sides = (usable[..., 2:] - usable[..., :2]).clamp(min=1.0).log().flatten(0, 1)
            raw = self.measure(torch.cat([mean, maximum, sides], dim=1)).unflatten(0, boxes.shape[:2])
            return 100 * raw[..., 0].sigmoid(), F.softplus(raw[..., 1])


def find_peaks(found: dict[str, Tensor], stride: float, count: int) -> tuple[Tensor, Tensor]:
    """Return the ``count`` highest peaks as boxes (B, count, 4) in the network's pixels and scores (B, count).

    A peak is a cell that no neighbour exceeds, as in CenterNet; where there are fewer, boxes are NaN and
    scores 0.
    """
    heat = found["heatmap"].detach().sigmoid()
    peaks = torch.where(F.max_pool2d(heat, 3, stride=1, padding=1) == heat, heat, 0.0).flatten(1)
    missing = count - peaks.shape[1]
    score, index = F.pad(peaks, (0, max(missing, 0))).topk(count)
    cells = index.clamp(max=peaks.shape[1] - 1)
    columns = heat.shape[-1]
    at = torch.stack([cells % columns, torch.div(cells, columns, rounding_mode="floor")], dim=-1)  # x, y

    def gather(name: str) -> Tensor:
        values = found[name].detach().flatten(2).transpose(1, 2)  # (B, h · w, 2)
        return values.gather(1, cells[..., None].expand(-1, -1, 2))

    centre = (at + 0.5 + gather("offset")) * stride
    half = 0.5 * stride * gather("size").clamp(max=math.log(max(heat.shape[-2:]))).exp()
    boxes = torch.cat([centre - half, centre + half], dim=-1)
    return torch.where(score[..., None] > 0, boxes, float("nan")), score


def jitter_boxes(boxes: Tensor, fraction: float) -> Tensor:
    """Shift and scale (…, 4) boxes at random by up to a fraction of their sides."""
    sides = boxes[..., 2:] - boxes[..., :2]
    centre = 0.5 * (boxes[..., 2:] + boxes[..., :2])
    shift, scale = (fraction * (2 * torch.rand_like(sides) - 1) for _ in range(2))
    centre, half = centre + shift * sides, 0.5 * sides * (1 + scale)
    return torch.cat([centre - half, centre + half], dim=-1)
