"""The page of the demonstration."""

from __future__ import annotations

import re

import numpy as np

from monai_lora_sam.coronary.report import (
    Comparison,
    result_sections,
    write_demo_report,
)


def test_demonstration_shows_truth_prediction_curve_and_own_image(tmp_path, case):
    _, image, vessels, _ = case
    comparison = Comparison("phantom 7", image, vessels, np.roll(vessels, 2, axis=0), 0.777)
    write_demo_report(
        tmp_path,
        [comparison, comparison],
        loss_per_epoch=[1.0, 0.5, 0.25],
        validation_dice_per_epoch=[0.2, 0.6, 0.7],
        facts={"Training": "81 s"},
        own=result_sections(*case),
    )
    html = (tmp_path / "report.html").read_text()
    for expected in ("phantom 7: Dice 0.777", "81 s", "training loss", "Median diameter (mm)", "0.777"):
        assert expected in html, expected
    assert html.count('class="viewer"') == 3
    names = re.findall(r'name="(viewer-[^"]+)"', html)
    assert len(set(names)) == 3  # each viewer switches alone
