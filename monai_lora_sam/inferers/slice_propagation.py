"""Segment a volume slice by slice, from one prompted slice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from monai.transforms import generate_spatial_bounding_box
from monai.utils import convert_to_dst_type, convert_to_tensor
from torch import Tensor
from tqdm import tqdm

from monai_lora_sam.networks import PromptedMasks
from monai_lora_sam.transforms import NormalizeForEncoderd

#: Logit of voxels in slices that were not segmented: a probability of 2e-9.
UNSEEN_LOGIT = -20.0
#: Pixels of the encoder's square around the last mask's box, as LiteMedSAM's authors have it.
ENCODER_MARGIN = 3
#: How far intensities may leave 0..1 by rounding.
_TOLERANCE = 1e-3

Normalize = Callable[[Tensor], Tensor]


class SlicePropagationInferer(Inferer):
    """Segment objects in one slice by prompts, and carry each mask's box to the slices before and after.

    The box around an object's mask, with a margin, prompts the next slice. Without a range of slices an object ends,
    in each direction, before the first slice where its mask is empty. With a range all its slices are segmented, and
    after an empty mask the first box prompts again (LiteMedSAM's way). The encoder runs once for each slice and
    direction, whatever the number of objects, and one slice at a time is on the network's device.

    Args:
        margin: pixels of the slice around the last mask's box; None for three pixels of the encoder's square, as
            LiteMedSAM's authors have it: 3 · longest side / encoder's image size.
        normalize: prepares a slice (3, H, W) in 0..1 for the network; None for
            :class:`~monai_lora_sam.transforms.NormalizeForEncoderd` with the network's own encoder.
        sw_device: device of the network, to which each slice goes; None for the volume's.
        device: device of the answer; None for the volume's.
        progress: show a progress bar of slices.

    Raises:
        ValueError: a negative margin.

    Example:
        >>> network = build_promptable("medsam_lite")  # doctest: +SKIP
        >>> inferer = SlicePropagationInferer(progress=True)  # doctest: +SKIP
        >>> boxes = torch.tensor([[120, 80, 180, 150]])  # x0, y0, x1, y1 in slice 40  # doctest: +SKIP
        >>> logits = inferer(volume, network, slice_index=40, boxes=boxes)  # (1, 1, H, W, D)  # doctest: +SKIP
    """

    def __init__(
        self,
        margin: float | None = None,
        normalize: Normalize | None = None,
        sw_device: torch.device | str | None = None,
        device: torch.device | str | None = None,
        progress: bool = False,
    ) -> None:
        super().__init__()
        if margin is not None and not margin >= 0:
            raise ValueError(f"margin: expected 0 pixels or more, found {margin}")
        self.margin, self.normalize = margin, normalize
        self.sw_device, self.device, self.progress = sw_device, device, progress

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self,
        inputs: Tensor,
        network: Callable[..., PromptedMasks],
        *,
        slice_index: int,
        boxes: Tensor | None = None,
        points: Tensor | None = None,
        point_labels: Tensor | None = None,
        slices: tuple[int, int] | None = None,
        multimask: bool = False,
    ) -> Tensor:
        """Segment N objects of a volume.

        Args:
            inputs: (1, 1, H, W, D) or (1, 3, H, W, D), intensities in 0..1; slices lie along the last axis.
            network: :class:`~monai_lora_sam.networks.PromptableSegmenter`, or anything that is called the same way.
            slice_index: the slice that the prompts are in.
            boxes: (N, 4), x0, y0, x1, y1 in pixels of the slice (x along W, y along H).
            points: (N, K, 2) as x, y, with or in place of boxes.
            point_labels: (N, K), 1 foreground, 0 background, -1 none.
            slices: first and last slice to segment, both included; None until the objects end.
            multimask: let the network offer several masks in the prompted slice, and take the best.

        Returns:
            Logits (1, N, H, W, D), float32, above 0 inside an object; `UNSEEN_LOGIT` in slices that were not
            segmented. A volume that is a `MetaTensor` gets its affine.

        Raises:
            ValueError: another shape, intensities outside 0..1, an index outside the volume, wrong prompts (see the
                network), or an object with an empty mask in the prompted slice. The last is no error for boxes with
                a range of slices.
        """
        volume = convert_to_tensor(inputs, track_meta=False)
        _check_volume(volume)
        height, width, depth = volume.shape[2:]
        first, last = (0, depth - 1) if slices is None else slices
        _check_range(slice_index, first, last, depth)
        normalize = self.normalize or _normalize_for(network)
        run = _Run(volume, network, normalize, self.sw_device)
        given = {"points": points, "point_labels": point_labels, "boxes": boxes}
        prompts = {name: prompt[None] for name, prompt in given.items() if prompt is not None}
        with tqdm(total=last - first + 1, disable=not self.progress, desc="slices") as bar:
            start = run.segment(slice_index, prompts, multimask=multimask)
            bar.update()
            logits = torch.full(
                (1, len(start), height, width, depth), UNSEEN_LOGIT, device=self.device or volume.device
            )
            logits[0, ..., slice_index] = start.to(logits.device)
            margin = self.margin if self.margin is not None else _encoder_margin(network, height, width)
            chain = _Chain.begin(start, boxes, margin, endless=slices is not None)
            chain.check_first(slice_index)
            for order in (range(slice_index + 1, last + 1), range(slice_index - 1, first - 1, -1)):
                for index, objects, masks in chain.follow(run, order):
                    logits[0, objects, ..., index] = masks.to(logits.device)
                    bar.update()
        if isinstance(inputs, MetaTensor):
            return convert_to_dst_type(logits, inputs, device=logits.device)[0]
        return logits


@dataclass
class _Run:
    """Run the network on single slices of a volume (1, C, H, W, D)."""

    volume: Tensor
    network: Callable[..., PromptedMasks]
    normalize: Normalize
    device: torch.device | str | None

    def segment(self, index: int, prompts: dict[str, Tensor], multimask: bool = False) -> Tensor:
        """Return the logits (N, H, W) of the objects in one slice."""
        image = self.volume[0, ..., index].to(self.device or self.volume.device, torch.float32)
        image = convert_to_tensor(self.normalize(image.expand(3, -1, -1).contiguous()), track_meta=False)
        on_device = {
            name: prompt.to(image.device, torch.int64 if name == "point_labels" else torch.float32)
            for name, prompt in prompts.items()
        }
        return self.network(image[None], **on_device, multimask=multimask).best[0].float()


@dataclass
class _Chain:
    """Carry the boxes of N objects from slice to slice.

    Attributes:
        start: the box after the prompted slice (N, 4); NaN for an empty mask.
        again: the box (N, 4) after an empty mask.
        margin: pixels around a mask's box.
        endless: an empty mask does not end an object.
    """

    start: Tensor
    again: Tensor
    margin: float
    endless: bool
    boxes_given: bool = field(default=False)

    @classmethod
    def begin(cls, logits: Tensor, boxes: Tensor | None, margin: float, endless: bool) -> _Chain:
        start = _boxes_around(logits > 0, margin)
        again = start if boxes is None else boxes.to(start)
        return cls(start, again, margin, endless, boxes is not None)

    def check_first(self, index: int) -> None:
        """Raise a ``ValueError`` if an object without a mask in the prompted slice cannot be followed."""
        empty = self.start.isnan().any(1).nonzero()[:, 0].tolist()
        if empty and not (self.endless and self.boxes_given):
            raise ValueError(
                f"slice {index}: expected a mask for every prompt, found none for object {', '.join(map(str, empty))} "
                "(counted from 0); prompt another slice, or give another box"
            )

    def follow(self, run: _Run, order: range) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yield slice index, numbers of the objects that were segmented there, and their logits."""
        objects, boxes = torch.arange(len(self.start)), self.start
        for index in order:
            prompts = torch.where(boxes.isnan(), self.again[objects], boxes)
            masks = run.segment(index, {"boxes": prompts[None]})
            yield index, objects, masks
            boxes = _boxes_around(masks > 0, self.margin)
            if not self.endless:
                goes_on = ~boxes.isnan().any(1)
                objects, boxes = objects[goes_on], boxes[goes_on]
            if not len(objects):
                return


def _boxes_around(masks: Tensor, margin: float) -> Tensor:
    """Return the boxes (N, 4) around masks (N, H, W) with a margin, clipped to the slice; NaN for an empty mask."""
    height, width = masks.shape[-2:]
    boxes = torch.full((len(masks), 4), torch.nan)
    for box, mask in zip(boxes, masks, strict=True):
        (top, left), (bottom, right) = generate_spatial_bounding_box(mask[None], allow_smaller=True)
        if bottom > top:
            box[:2] = torch.tensor([left - margin, top - margin]).clamp(min=0)
            box[2:] = torch.tensor([min(right + margin, width), min(bottom + margin, height)])
    return boxes


def _normalize_for(network: Callable[..., PromptedMasks]) -> Normalize:
    encoder = getattr(getattr(network, "stack", None), "encoder", None)
    if encoder is None:
        raise ValueError("expected a network with an encoder, or `normalize`, found neither")
    transform = NormalizeForEncoderd(keys="image", encoder=encoder)
    return lambda image: transform({"image": image})["image"]


def _encoder_margin(network: Callable[..., PromptedMasks], height: int, width: int) -> float:
    encoder = getattr(getattr(network, "stack", None), "encoder", None)
    if encoder is None:
        raise ValueError("expected a network with an encoder, or `margin` in pixels, found neither")
    return ENCODER_MARGIN * max(height, width) / encoder.image_size


def _check_volume(volume: Tensor) -> None:
    if volume.ndim != 5 or volume.shape[0] != 1 or volume.shape[1] not in (1, 3) or 0 in volume.shape:
        raise ValueError(f"volume: expected (1, 1 or 3, H, W, D), found {tuple(volume.shape)}")
    low, high = (float(end) for end in torch.aminmax(volume))
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise ValueError(
            f"volume: expected intensities from 0 to 1, found {low:g} to {high:g}; scale it first, by "
            "`to_unit_by_window` (CT) or `to_unit_by_percentiles` (MR) of monai_lora_sam.images"
        )


def _check_range(index: int, first: int, last: int, depth: int) -> None:
    if not 0 <= index < depth:
        raise ValueError(f"slice_index: expected 0 to {depth - 1}, found {index}")
    if not 0 <= first <= index <= last < depth:
        raise ValueError(
            f"slices: expected first and last slice from 0 to {depth - 1} with slice {index} between them, "
            f"found {first} and {last}"
        )
