"""The SYNTAX score against the published table of points, its rules, and what it must refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_lora_sam.coronary.anatomy import Dominance, SyntaxSegment, arcade_id
from monai_lora_sam.coronary.qca import measure
from monai_lora_sam.coronary.qca.syntax_score import (
    AdverseCharacteristics,
    ScoredLesion,
    UnsupportedScore,
    scored_lesions,
    segment_points,
    syntax_score,
)

# The SYNTAX score calculator 2 (syntaxscore.org), segment: points in right, in left dominance; None: the segment
# does not exist.
PUBLISHED = {
    **{"1": (1, 0), "2": (1, 0), "3": (1, 0), "4": (1, None), "5": (5, 6), "6": (3.5, 3.5), "7": (2.5, 2.5)},
    **{"8": (1, 1), "9": (1, 1), "9a": (1, 1), "10": (0.5, 0.5), "10a": (0.5, 0.5), "11": (1.5, 2.5)},
    **{"12": (1, 1), "12a": (1, 1), "12b": (1, 1), "13": (0.5, 1.5), "14": (0.5, 1), "14a": (0.5, 1)},
    **{"14b": (0.5, 1), "15": (None, 1), "16": (0.5, None), "16a": (0.5, None), "16b": (0.5, None)},
    "16c": (0.5, None),
}


def segments(*names: str) -> tuple[SyntaxSegment, ...]:
    return tuple(SyntaxSegment(name) for name in names)


@pytest.mark.parametrize("column", [0, 1])
def test_points_are_the_published_ones(column):
    dominance = (Dominance.RIGHT, Dominance.LEFT)[column]
    assert set(PUBLISHED) == {one.value for one in SyntaxSegment}
    for name, points in PUBLISHED.items():
        if points[column] is None:
            with pytest.raises(ValueError, match=f"segment {name} does not exist in {dominance.value}"):
                segment_points(SyntaxSegment(name), dominance)
        else:
            assert segment_points(SyntaxSegment(name), dominance) == points[column]


def test_stenosis_counts_twice_and_occlusion_five_times():
    stenosed = syntax_score([ScoredLesion(segments("6", "7"))], "right")
    assert stenosed.total == 2 * 3.5 + 2 * 2.5
    occluded = ScoredLesion(segments("5"), SyntaxSegment("5"))
    assert syntax_score([occluded], "right").total == 25
    assert syntax_score([occluded], "left").total == 30
    # Only the segment in which the occlusion begins counts five times.
    assert syntax_score([ScoredLesion(segments("6", "7"), SyntaxSegment("6"))], "right").total == 17.5 + 5


# Left main cases 1 to 6 of the tutorial (syntaxscore.com, "Left main"): the lesions as it describes them, with the
# published points of each entry added by hand.
@pytest.mark.parametrize(
    ("involved", "adverse", "points"),
    [
        (("5",), {"aorto_ostial": True}, 10 + 1),
        (("5",), {"longer_than_20_mm": True}, 10 + 1),
        (("5",), {"medina": (1, 0, 0)}, 10 + 1),
        (("5", "6"), {"medina": (1, 1, 0)}, 10 + 7 + 1),
        (("5", "11"), {"medina": (1, 0, 1)}, 10 + 3 + 2),
        (("5", "6", "11"), {"medina": (1, 1, 1)}, 10 + 7 + 3 + 2),
    ],
)
def test_left_main_cases_of_the_tutorial(involved, adverse, points):
    lesion = ScoredLesion(segments(*involved), adverse=AdverseCharacteristics(**adverse))
    assert syntax_score([lesion], "right").total == points


# Points of each answer in the SYNTAX score calculator 2.
@pytest.mark.parametrize(
    ("adverse", "points"),
    [
        ({"occlusion_age": "above_3_months"}, 1),
        ({"occlusion_age": "unknown"}, 1),
        ({"occlusion_age": "below_3_months"}, 0),
        ({"blunt_stump": True}, 1),
        ({"bridging_collaterals": True}, 1),
        ({"unseen_segments": 2}, 2),
        ({"side_branch": "below_1.5_mm"}, 1),
        ({"side_branch": "below_and_above_1.5_mm"}, 1),
        *(({"trifurcation_segments": count}, count + 2) for count in (1, 2, 3, 4)),
        *(({"medina": medina}, 1) for medina in ((1, 0, 0), (0, 1, 0), (1, 1, 0))),
        *(({"medina": medina}, 2) for medina in ((1, 1, 1), (0, 0, 1), (1, 0, 1), (0, 1, 1))),
        ({"medina": (1, 0, 0), "angulation_below_70_degrees": True}, 2),
        ({"aorto_ostial": True}, 1),
        ({"severe_tortuosity": True}, 2),
        ({"longer_than_20_mm": True}, 1),
        ({"heavy_calcification": True}, 2),
        ({"thrombus": True}, 1),
    ],
)
def test_adverse_characteristics(adverse, points):
    occluded = ScoredLesion(segments("5", "6"), SyntaxSegment("5"), AdverseCharacteristics(**adverse))
    score = syntax_score([occluded], "right")
    assert score.total == 5 * 5 + 2 * 3.5 + points
    assert sum(score.rows[0]["adverse"].values()) == points


def test_a_patient_of_several_lesions_is_their_sum():
    lesions = [
        ScoredLesion(segments("6", "7", "9"), adverse=AdverseCharacteristics(medina=(1, 1, 1))),
        ScoredLesion(segments("11")),
        ScoredLesion(segments("2"), SyntaxSegment("2"), AdverseCharacteristics(blunt_stump=True)),
    ]
    score = syntax_score(lesions, "right", diffuse_segments=segments("8", "10"))
    assert [row["points"] for row in score.rows] == [16, 3, 6]
    assert (score.diffuse_points, score.total) == (2, 27)
    assert syntax_score([], "right").total == 0


def test_what_is_not_known_is_an_error():
    with pytest.raises(UnsupportedScore, match="co-dominance"):
        syntax_score([ScoredLesion(segments("6"))], "co")
    with pytest.raises(UnsupportedScore, match="sources disagree"):
        AdverseCharacteristics(side_branch="above_1.5_mm")
    with pytest.raises(ValueError, match="15 does not exist in right dominance"):
        syntax_score([ScoredLesion(segments("15"))], "right")
    with pytest.raises(ValueError, match="Medina"):
        AdverseCharacteristics(medina=(0, 0, 0))
    with pytest.raises(ValueError, match="both for one lesion"):
        AdverseCharacteristics(medina=(1, 0, 0), trifurcation_segments=1)
    with pytest.raises(ValueError, match="occlusion_age"):
        AdverseCharacteristics(occlusion_age="old")
    with pytest.raises(ValueError, match="trifurcation_segments"):
        AdverseCharacteristics(trifurcation_segments=5)
    with pytest.raises(ValueError, match="characteristics of an occlusion"):
        ScoredLesion(segments("6"), adverse=AdverseCharacteristics(blunt_stump=True))
    with pytest.raises(ValueError, match="among"):
        ScoredLesion(segments("6"), SyntaxSegment("7"))
    with pytest.raises(TypeError, match="SyntaxSegments"):
        ScoredLesion((6,))
    with pytest.raises(ValueError, match="once"):
        ScoredLesion(segments("6", "6"))


LENGTH, DIAMETER = 300, 12.0


def vessel(
    *dips: tuple[float, float], gap: tuple[float, float] | None = None, stump: float = 0.0
) -> np.ndarray:
    """Draw a straight vessel along the columns with narrowings (middle, part of the diameter) and a gap (begin, end).

    A narrowing is cosine-shaped; before the gap the vessel narrows over the length `stump`.
    """
    columns = np.arange(LENGTH, dtype=float)
    half = np.full(LENGTH, DIAMETER / 2)
    for middle, depth in dips:
        near = np.abs(columns - middle) < 15
        half[near] *= 1 - depth * 0.5 * (1 + np.cos(np.pi * (columns[near] - middle) / 15))
    if gap is not None:
        half *= np.clip((gap[0] - columns) / max(stump, 1e-9), columns > gap[0], 1.0)
        half[(columns > gap[0]) & (columns < gap[1])] = 0
    half[:8] = half[-8:] = 0
    rows = np.arange(48)[:, None] - 23.5
    return np.clip(half - np.abs(rows) + 0.5, 0, 1).astype(np.float32) * (half > 0)


def named(*borders: tuple[str, int]) -> np.ndarray:
    """Return a segment map: each name up to a column."""
    ids = np.zeros((48, LENGTH), np.uint8)
    start = 0
    for name, stop in borders:
        ids[:, start:stop] = arcade_id(SyntaxSegment(name))
        start = stop
    return ids


def test_measured_stenoses_become_scored_lesions():
    # 70 % in 6, 30 % in 7 (does not count), 65 % in 7; far apart.
    result = measure(
        vessel((60, 0.7), (150, 0.3), (240, 0.65)),
        segments=named(("6", 120), ("7", 300)),
        pixel_spacing_mm=0.25,
    )
    lesions = scored_lesions(result)
    assert [one.segments for one in lesions] == [segments("6"), segments("7")]
    assert syntax_score(lesions, "right").total == 7 + 5


def test_stenoses_within_three_diameters_are_one_lesion():
    picture = vessel((90, 0.7), (140, 0.7))
    apart = measure(picture, segments=named(("6", 300)), pixel_spacing_mm=0.25)
    assert len(scored_lesions(apart)) == 1
    far = measure(vessel((60, 0.7), (150, 0.7)), segments=named(("6", 300)), pixel_spacing_mm=0.25)
    assert len(scored_lesions(far)) == 2


def test_narrow_vessels_do_not_count():
    picture, names = vessel((150, 0.7)), named(("8", 300))
    assert scored_lesions(measure(picture, segments=names, pixel_spacing_mm=0.13))
    assert not scored_lesions(measure(picture, segments=names, pixel_spacing_mm=0.12))


def test_beyond_an_occlusion_nothing_counts():
    picture = vessel((230, 0.7), gap=(110, 140))
    result = measure(picture, segments=named(("6", 125), ("7", 200), ("8", 300)), pixel_spacing_mm=0.25)
    assert len(result.lesions) == 2
    (lesion,) = scored_lesions(result)
    assert lesion.occluded is SyntaxSegment("6") and lesion.segments == segments("6")


@pytest.mark.parametrize("labelled_gap", [True, False])
@pytest.mark.parametrize(
    ("border", "segment", "points"), [(120, "7", 12.5), (150, "7", 12.5), (172, "6", 17.5)]
)
def test_an_occlusion_is_scored_where_its_tapered_stump_ends(labelled_gap, border, segment, points):
    picture = vessel(gap=(170, 200), stump=60)
    names = named(("6", border), ("7", 300))
    names = names if labelled_gap else names * (picture > 0.5)
    result = measure(picture, segments=names, pixel_spacing_mm=0.25)
    (lesion,) = result.lesions
    assert lesion.total_occlusion and lesion.segment_id == arcade_id(SyntaxSegment(segment))
    (scored,) = scored_lesions(result)
    assert scored.segments == segments(segment) and scored.occluded is SyntaxSegment(segment)
    assert syntax_score([scored], "right").total == points


@pytest.mark.parametrize("border", [54, 62])
def test_a_short_piece_of_a_label_does_not_make_a_second_segment(border):
    names = named(("6", border), ("7", border + 3), ("6", 150), ("7", 300))
    (lesion,) = scored_lesions(measure(vessel((60, 0.7)), segments=names, pixel_spacing_mm=0.25))
    assert lesion.segments == segments("6")


def test_a_measurement_without_spacing_or_names_has_no_score():
    picture = vessel((150, 0.7))
    result = measure(picture, segments=named(("6", 300)))
    with pytest.raises(UnsupportedScore, match="pixel spacing"):
        scored_lesions(result)
    with pytest.raises(UnsupportedScore, match="named segment at the stenosis at x=1"):
        scored_lesions(replace(measure(picture), pixel_spacing_mm=0.25))
