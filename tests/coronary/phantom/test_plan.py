"""Plans of the left coronary artery: origins in order, courses on the heart."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.heart import draw_heart
from monai_lora_sam.coronary.phantom.plan import fractions_along, on_surface, plan_left

S = SyntaxSegment


def test_fractions_by_hand():
    control = np.array([[0.0, 0.0, 0.0], [3.0, 4.0, 0.0], [3.0, 4.0, 15.0]])
    np.testing.assert_allclose(fractions_along(control), [0.0, 0.25, 1.0])


def test_a_course_lies_on_the_heart():
    heart = draw_heart(np.random.default_rng(0))
    points = on_surface(heart, [(90.0, 0.0), (0.0, 15.0)])
    np.testing.assert_allclose(points[0], heart.length_mm * heart.apex_axis, atol=1e-9)
    assert np.linalg.norm(points[1]) == pytest.approx(heart.radius_mm, rel=0.01)


@pytest.mark.parametrize("dominance", Dominance)
def test_segments_end_one_behind_the_other_and_the_circumflex_leaves_the_left_main_s_end(dominance):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        lad, lcx = plan_left(rng, draw_heart(rng), dominance)
        assert [segment for segment, _ in lad.segments] == [
            S.LEFT_MAIN,
            S.LAD_PROXIMAL,
            S.LAD_MID,
            S.LAD_APICAL,
        ]
        for trunk in (lad, lcx):
            ends = [until for _, until in trunk.segments]
            assert ends == sorted(ends) and ends[-1] == pytest.approx(1.0)
        assert (lcx.parent, lcx.leaves_at) == ("lad", lad.segments[0][1])
        assert (lcx.segments[-1][0] is S.LEFT_POSTERIOR_DESCENDING) == (dominance is Dominance.LEFT)
