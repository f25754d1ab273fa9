"""Lesions: marks at the right places, tables with the right units."""

from __future__ import annotations

import re

import numpy as np
import pytest

from monai_lora_sam.coronary.report.lesions import (
    diameter_chart,
    lesion_label,
    lesion_marks,
    lesion_sections,
    lesion_table,
)


@pytest.fixture
def lesion():
    arc = np.arange(0, 21, dtype=float)
    return {
        "id": 3,
        "box_xy": [10, 20, 30, 40],
        "profile": {
            "proximal_border_px": 5.0,
            "distal_border_px": 15.0,
            "mld_position_px": 10.0,
            "arc_length_px": arc.tolist(),
            "diameter_px": [8.0] * 21,
            "left_wall_xy": [[x, 6.0] for x in arc],
            "right_wall_xy": [[x, 14.0] for x in arc],
        },
    }


def paths(markup: str, style: str) -> list[np.ndarray]:
    found = re.findall(rf'<path class="{style}"[^>]* d="([^"]*)"', markup)
    return [np.array(re.findall(r"-?[\d.]+", path), dtype=float).reshape(-1, 2) for path in found]


def test_borders_and_mld_stand_across_the_vessel_where_they_are(lesion):
    across = paths(str(lesion_marks(lesion)), "across")
    assert [line[0, 0] for line in across] == [5.0, 15.0, 10.0]
    for line in across:
        assert line[0, 0] == line[1, 0]
        assert line[:, 1].min() == 2.0 and line[:, 1].max() == 18.0  # four pixels beyond each wall


def test_places_are_said_in_words(lesion):
    lesion |= {"mld_mm": 1.0, "mld_position_mm": 2.5, "mld_position_px": 10.0, "mld_xy": [10.0, 10.0]}
    lesion |= {"proximal_reference_mm": 2.0, "percent_diameter_stenosis_averaged_reference": 50.4}
    columns = lesion_sections({"image": {}, "lesions": [lesion]}, np.zeros((60, 60)))[1]
    assert columns.blocks[2].facts == {
        "Place of the MLD": "at 2.5 mm, (10.0, 10.0) px",
        "Mean diameter beside it": "2.00 mm proximal",
        "%DS by the averaged RVD": "50 %",
    }


def test_the_mld_is_named_on_the_other_side_of_the_vessel(lesion):
    markup = str(lesion_marks(lesion, enlarged=True))
    names = dict(re.findall(r'y="([-\d.]+)">(P|D|MLD)<', markup))
    below = {name: float(y) > 10 for y, name in names.items()}
    assert below["MLD"] != below.get("P", below["D"])


def test_contours_reach_from_border_to_border(lesion):
    walls = paths(str(lesion_marks(lesion)), "outline")
    assert [wall[:, 0].tolist() for wall in walls] == [list(range(5, 16))] * 2
    enlarged = paths(str(lesion_marks(lesion, enlarged=True)), "outline")
    assert len(enlarged) == 4 and len(enlarged[0]) == 21


def test_missing_walls_are_gaps_and_draw_no_border(lesion):
    lesion["profile"]["left_wall_xy"][5] = None
    lesion["profile"]["left_wall_xy"][10] = [None, None]
    markup = str(lesion_marks(lesion))
    assert [line[0, 0] for line in paths(markup, "across")] == [15.0]
    assert re.findall(r'class="outline"[^>]* d="([^"]*)"', markup)[0].count("M") == 2


def test_chart_is_in_mm_where_the_spacing_is_known(lesion):
    assert "distance (mm)" in diameter_chart(lesion, 0.25).chart
    assert "distance (px)" in diameter_chart(lesion, None).chart


def test_table_has_the_columns_that_any_lesion_has():
    rows = [
        {
            "id": 1,
            "percent_diameter_stenosis": 40.0,
            "mld_px": 5.0,
            "mld_mm": 1.0,
            "mld_mm_interval": [0.9, 1.2],
        },
        {"id": 2, "score": 0.5, "mld_px": 4.0},
    ]
    table = lesion_table(rows)
    assert table.columns == ["Lesion", "%DS", "MLD (mm)", "MLD, 95 % (mm)", "Score"]
    assert table.rows == [[1, 40.0, 1.0, "0.90–1.20", None], [2, None, None, None, 0.5]]


def test_a_lesion_without_contours_is_enlarged_with_its_box(lesion):
    unmeasured = {"id": 2, "box_xy": [10.0, 20.0, 40.0, 50.0], "percent_diameter_stenosis": 60.0}
    assert 'class="box"' in lesion_marks(unmeasured, enlarged=True)
    assert 'class="box"' not in lesion_marks(lesion, enlarged=True)
    assert 'class="box"' in lesion_marks({**lesion, "box_xy": [10.0, 20.0, 40.0, 50.0]})


@pytest.mark.parametrize("estimate", [None, 58.2])
def test_a_lesion_that_was_not_measured_shows_no_figure(estimate):
    row = {"id": 2, "box_xy": [10.0, 20.0, 40.0, 50.0], "percent_diameter_stenosis": None, "mld_px": None}
    row |= {"not_measurable_because": "no vessel could be measured there"}
    row |= {"percent_diameter_stenosis_network": estimate, "mld_px_network": None}
    table, columns = lesion_sections({"image": {}, "lesions": [row]}, np.zeros((60, 60)))
    assert (table.columns, table.rows) == (["Lesion", "%DS"], [[2, "not measurable"]])
    assert lesion_label(row) == "2 · not measurable"
    details = {"Not measurable": "no vessel could be measured there"}
    if estimate is not None:
        details["The network's estimate, no measurement"] = "58 % diameter stenosis"
    assert columns.blocks[-1].facts == details
