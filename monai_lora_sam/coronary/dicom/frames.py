"""Rank the frames of a cine by contrast filling and motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_lora_sam.coronary.images import Cine
from monai_lora_sam.images import Frames

#: Longest side in pixels of the reduced frames: the main vessels are then two or three pixels wide.
WORKING_SIDE = 160
_SIGMA_PX = 1.0
#: Largest variation, as a share of the maximum, of the visible vessels of a run with contrast throughout or nowhere.
_STEADY = 0.25
#: Largest share of its score that a frame loses by motion.
_MOTION_WEIGHT = 0.5


@dataclass(frozen=True)
class FrameScore:
    """Hold a frame's suitability for analysis.

    Attributes:
        index: the frame, counted from 0.
        score: 0 to 1, best 1.
        filling: visible part of the tree, relative to the fullest frame, 0 to 1.
        motion: change of the vessels towards the neighbouring frames, from 0 (none) to 1 (entire).
        reasons: filling and motion in words.
    """

    index: int
    score: float
    filling: float
    motion: float
    reasons: tuple[str, ...]


def rank_frames(cine: Cine | Frames | np.ndarray) -> list[FrameScore]:
    """Rank all frames of a cine, the best for analysis first.

    Dark ridges (the larger eigenvalue of the Hessian, Sato et al., Med Image Anal 1998) of the reduced frames measure
    the filling of the tree, after ridges that stay in place during the whole run (ribs, wires, a still catheter) are
    removed. Their change towards the frames before and after measures the motion.

    Args:
        cine: a `Cine`, or frames (N, H, W) in 0..1 with dark vessels.

    Raises:
        ValueError: no frame, or frames that are not (H, W).

    Example:
        >>> best = rank_frames(read_cine("study.dcm"))[0]  # doctest: +SKIP
        >>> best.index, best.reasons  # doctest: +SKIP
        (31, ('shows 98 % of the vessels of the fullest frame', 'the vessels hardly move'))
    """
    frames = cine.frames if isinstance(cine, Cine) else cine
    if len(frames) == 0 or np.ndim(frames[0]) != 2:
        raise ValueError(
            f"expected at least one frame (H, W), found {len(frames)} of shape {np.shape(frames)[1:]}"
        )
    if len(frames) == 1:
        return [FrameScore(0, 1.0, 1.0, 0.0, ("the only frame",))]
    vessels = moving_vessels(dark_ridges(np.stack([_reduce(np.asarray(frame)) for frame in frames])))
    shown = vessels.sum(axis=(1, 2))
    steady = bool(np.ptp(shown) <= _STEADY * shown.max())
    filling = np.ones(len(shown)) if steady else (shown - shown.min()) / np.ptp(shown)
    motion = _motion(vessels, shown)
    score = filling * (1 - _MOTION_WEIGHT * motion)
    typical = float(np.median(motion))
    order = sorted(range(len(shown)), key=lambda index: (-score[index], index))
    fullest = int(np.argmax(filling))
    return [
        FrameScore(
            index,
            float(score[index]),
            float(filling[index]),
            float(motion[index]),
            (
                _filling_reason(float(filling[index]), index < fullest, steady),
                _motion_reason(motion[index], typical),
            ),
        )
        for index in order
    ]


def _reduce(frame: np.ndarray) -> np.ndarray:
    """Return the frame averaged over blocks, so that its longest side is at most `WORKING_SIDE`."""
    step = -(-max(frame.shape) // WORKING_SIDE)
    height, width = (side // step for side in frame.shape)
    blocks = frame[: height * step, : width * step].reshape(height, step, width, step)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def dark_ridges(frames: np.ndarray) -> np.ndarray:
    """Return (N, H, W) the strength of dark ridges: Sato's filter at one width, for all frames at once.

    `skimage.filters.sato` gives the same for one frame at a time, and is far slower.
    """
    second = {
        order: gaussian_filter(frames, (0, _SIGMA_PX, _SIGMA_PX), order=(0, *order), mode="reflect")
        for order in ((2, 0), (1, 1), (0, 2))
    }
    rows, mixed, columns = second[2, 0], second[1, 1], second[0, 2]
    larger = 0.5 * (rows + columns + np.sqrt((rows - columns) ** 2 + 4 * mixed**2))
    return np.maximum(larger, 0.0) * _SIGMA_PX**2


def moving_vessels(ridges: np.ndarray) -> np.ndarray:
    """Return (N, H, W) the ridges that do not stay in place, 0 to 1, without noise."""
    changing = ridges - ridges.min(axis=0)
    middle = float(np.median(changing))
    noise = 1.4826 * float(np.median(np.abs(changing - middle)))
    above = changing - (middle + 4 * noise)
    strong = above[above > 0]
    # A wide vessel must not outweigh many thin ones.
    ceiling = max(float(np.percentile(strong, 75)) if strong.size else 0.0, 1e-6)
    return np.clip(above / ceiling, 0.0, 1.0)


def _motion(vessels: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return (N,) the mean share of the vessels that differs from the neighbouring frames."""
    change = np.abs(np.diff(vessels, axis=0)).sum(axis=(1, 2)) / np.maximum(shown[1:] + shown[:-1], 1e-6)
    before, after = np.append(change[:1], change), np.append(change, change[-1:])
    return np.clip(0.5 * (before + after), 0.0, 1.0)


def _filling_reason(filling: float, running_in: bool, steady: bool) -> str:
    if steady:
        return "as many vessels show as in every other frame"
    share = f"shows {100 * filling:.0f} % of the vessels of the fullest frame"
    if filling >= 0.9:
        return share
    return f"{share}: contrast is {'running in' if running_in else 'being washed out'}"


def _motion_reason(motion: float, typical: float) -> str:
    if motion <= 0.8 * typical:
        return "the vessels hardly move"
    return "the vessels move" if motion > 1.2 * typical else "the vessels move as in most frames"
