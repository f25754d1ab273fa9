"""The choice of frames against the truth of phantom cines, and against made-up runs with a known answer."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr, spearmanr
from skimage.filters import sato

from monai_lora_sam.coronary.dicom.frames import dark_ridges, rank_frames
from monai_lora_sam.coronary.images import read_cine
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_cine, write_phantom_dicom


@pytest.fixture(scope="module")
def cine():
    return generate_cine(2, PhantomConfig(image_size=160, side="left"), frames=22, frames_per_second=10)


@pytest.fixture(scope="module")
def ranking(cine):
    return rank_frames(cine.images / np.float32(255))


def _by_index(ranking, name):
    return np.array([getattr(score, name) for score in sorted(ranking, key=lambda score: score.index)])


def test_ridges_are_those_of_scikit_image():
    # Smooth input: scikit-image takes its derivatives in two steps, which differs near the pixel's size.
    frames = gaussian_filter(np.random.default_rng(0).random((2, 60, 70)), (0, 2, 2)).astype(np.float32)
    expected = np.stack([sato(frame, sigmas=[1.0], black_ridges=True) for frame in frames])[:, 8:-8, 8:-8]
    found = dark_ridges(frames)[:, 8:-8, 8:-8]
    np.testing.assert_allclose(found, expected, atol=0.03 * expected.max())


def test_filling_and_motion_follow_the_truth(cine, ranking):
    filling = np.array([frame.filling for frame in cine.frames])
    motion = np.array([frame.motion_px for frame in cine.frames])
    assert pearsonr(_by_index(ranking, "filling"), filling)[0] > 0.85
    filled = filling > 0.9
    assert filled.sum() >= 6
    assert spearmanr(_by_index(ranking, "motion")[filled], motion[filled])[0] > 0.8


def test_the_best_frames_are_filled_and_at_rest(cine, ranking):
    assert sorted(score.index for score in ranking) == list(range(22))
    scores = [score.score for score in ranking]
    assert scores == sorted(scores, reverse=True) and min(scores) >= 0 and max(scores) <= 1
    moving = np.median([frame.motion_px for frame in cine.frames if frame.motion_px > 0])
    for score in ranking[:3]:
        frame = cine.frames[score.index]
        assert frame.filling > 0.9 and frame.motion_px < 0.25 * moving
    for score in ranking[-3:]:
        assert cine.frames[score.index].filling < 0.3


def test_reasons_say_what_is_the_case(cine, ranking):
    assert ranking[0].reasons[0].startswith("shows ") and ranking[0].reasons[1] == "the vessels hardly move"
    fullest = int(np.argmax(_by_index(ranking, "filling")))
    for score in ranking:
        filled = score.reasons[0]
        if score.filling < 0.9:
            assert ("running in" in filled) == (score.index < fullest)
            assert ("washed out" in filled) == (score.index > fullest)


def test_a_file_gives_the_same_ranking(cine, ranking, tmp_path):
    read = read_cine(write_phantom_dicom(tmp_path / "cine.dcm", cine))
    assert [score.index for score in rank_frames(read)] == [score.index for score in ranking]


def _line(column, depth=0.5):
    frame = np.full((64, 64), 0.8, np.float32)
    frame[8:56, column : column + 3] -= depth
    return frame


def test_a_line_that_rests_beats_one_that_runs():
    frames = [_line(5, 0.0), *(_line(8 * k) for k in range(1, 5)), *[_line(40)] * 4, _line(40, 0.0)]
    best = rank_frames(np.stack(frames))
    assert {score.index for score in best[:2]} <= {6, 7}
    assert {best[-1].index, best[-2].index} == {0, 9}


def test_what_never_moves_is_not_contrast():
    # A wire across all frames is darker than the vessel, which two frames show.
    frames = np.stack([_line(20, 0.2 if index in (3, 4) else 0.0) for index in range(7)])
    frames[:, 30:33, :] -= 0.6
    assert {score.index for score in rank_frames(frames)[:2]} == {3, 4}


def test_a_run_without_change_and_a_single_frame_rank_without_preference():
    same = rank_frames(np.stack([_line(20)] * 3))
    assert [score.index for score in same] == [0, 1, 2]
    assert {score.filling for score in same} == {1.0} and {score.motion for score in same} == {0.0}
    assert "as many vessels show as in every other frame" in same[0].reasons
    only = rank_frames(_line(20)[None])
    assert len(only) == 1 and only[0].index == 0 and only[0].score == 1.0


def test_empty_and_misshapen_input_is_named():
    with pytest.raises(ValueError, match="expected at least one frame"):
        rank_frames(np.zeros((0, 8, 8)))
    with pytest.raises(ValueError, match=r"frame \(H, W\)"):
        rank_frames(np.zeros((3, 8)))
