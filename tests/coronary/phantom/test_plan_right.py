"""Plans of the right coronary artery under each dominance."""

from __future__ import annotations

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment
from monai_lora_sam.coronary.phantom.heart import draw_heart
from monai_lora_sam.coronary.phantom.plan_right import POSTEROLATERAL_BRANCHES, Normal, Span, plan_right

S = SyntaxSegment
LAST = {
    Dominance.RIGHT: {S.RIGHT_POSTEROLATERAL},
    Dominance.CO: {S.RIGHT_POSTERIOR_DESCENDING},
    Dominance.LEFT: {S.RCA_MID, S.RCA_DISTAL},
}


def planned(seed, dominance):
    rng = np.random.default_rng(seed)
    (trunk,) = plan_right(rng, draw_heart(rng), dominance)
    return trunk


@pytest.mark.parametrize("dominance", Dominance)
def test_dominance_decides_the_last_segment_and_who_gives_the_posterior_descending(dominance):
    for seed in range(8):
        trunk = planned(seed, dominance)
        ends = [until for _, until in trunk.segments]
        assert ends == sorted(ends) and ends[-1] == pytest.approx(1.0)
        assert trunk.segments[-1][0] in LAST[dominance]
        keys = {offshoot.key for offshoot in trunk.offshoots}
        assert ("pda" in keys) == (dominance is Dominance.RIGHT)
        assert all(0 <= offshoot.leaves_at <= 1 for offshoot in trunk.offshoots)


def test_posterolateral_branches_are_there_as_often_as_the_table_says():
    plans = [planned(seed, Dominance.RIGHT) for seed in range(400)]
    for branch in POSTEROLATERAL_BRANCHES:
        share = np.mean([any(o.segment is branch.segment for o in plan.offshoots) for plan in plans])
        assert share == pytest.approx(
            branch.chance, abs=4 * np.sqrt(branch.chance * (1 - branch.chance) / 400)
        )


def test_drawn_numbers_keep_to_their_table():
    rng = np.random.default_rng(0)
    evenly = [Span(2.0, 7.0).draw(rng, 10.0) for _ in range(500)]
    assert min(evenly) >= 12 and max(evenly) <= 17 and np.mean(evenly) == pytest.approx(14.5, abs=0.3)
    normal = [Normal(148.0, 5.0).draw(rng) for _ in range(500)]
    assert np.mean(normal) == pytest.approx(148, abs=1) and np.std(normal) == pytest.approx(5, abs=0.7)
