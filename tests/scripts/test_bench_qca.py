"""The benchmark of the quantitative analysis: what it counts, what it lists, and that it goes on where it stopped."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer

from monai_lora_sam.coronary.qca import measure

STEP = 6  # px between two points of the centreline, 1.6 mm


def drawn(percent: float) -> tuple[dict, np.ndarray]:
    """Draw a straight vessel with a cosine-shaped stenosis and write its truth as phantoms have it."""
    pixel, width, columns = 1.6 / STEP, 14.0, np.arange(300, dtype=float)

    def factor(x: np.ndarray) -> np.ndarray:
        return 1 - percent / 100 * 0.5 * (1 + np.cos(np.pi * np.clip(np.abs(x - 150) / 30, 0, 1)))

    half = width / 2 * factor(columns)
    half[:6] = half[-6:] = 0
    mask = np.abs(np.arange(60)[:, None] - 29.7) <= half
    at = np.arange(6, 294.1, STEP)
    diameter = width * factor(at) * pixel
    lesion = {
        "segment": "6",
        "percent_diameter_stenosis": percent,
        "minimum_lumen_diameter_mm": width * pixel * (1 - percent / 100),
        "minimum_lumen_diameter_px": width * (1 - percent / 100),
        "reference_diameter_mm": width * pixel,
        "length_mm": 60 * pixel,
        "centre_xy_px": [150.0, 29.7],
    }
    line = {
        "points_xy_px": [[x, 29.7] for x in at],
        "diameter_mm": diameter.tolist(),
        "reference_diameter_mm": [width * pixel] * len(at),
        "diameter_px": (diameter / pixel).tolist(),
    }
    return {"centrelines": [line], "lesions": [lesion], "pixel_spacing_mm": pixel}, mask


def test_a_lesion_is_compared_with_its_truth(script):
    truth, mask = drawn(60.0)
    (row,) = script("bench_qca").compare(
        truth, mask, measure(mask, pixel_spacing_mm=truth["pixel_spacing_mm"])
    )
    assert row["clear"] and row["found"]
    assert row["length_mm"] == pytest.approx(16.0, rel=0.01)
    assert row["measured_percent"] == pytest.approx(60, abs=4)
    assert row["measured_mld_mm"] == pytest.approx(14 * 0.4 * 1.6 / STEP, abs=0.15)
    assert row["measured_length_mm"] == pytest.approx(16, rel=0.2) and row["place_mm"] < 1
    assert row["percent_interval"][0] <= row["measured_percent"] <= row["percent_interval"][1]


def test_what_was_not_found_is_counted_and_described(script):
    bench = script("bench_qca")
    truth, mask = drawn(60.0)
    (row,) = bench.compare(truth, mask, measure(np.zeros_like(mask), pixel_spacing_mm=0.25))
    assert not row["found"]
    found = {
        **row,
        **{
            "found": True,
            "measured_percent": 63.0,
            "measured_mld_mm": row["mld_mm"] - 0.1,
            "occlusion": False,
        },
        **{"measured_length_mm": row["length_mm"] * 1.2, "place_mm": 0.5, "measured_reference_mm": 3.73},
        **{
            "percent_interval": [59, 66],
            "mld_px_interval": [5, 5.2],
            "mld_mm_interval": [1, 2],
            "seconds": 0.2,
        },
    }
    figures = bench.summary([{**row, "seconds": 0.1}, found])
    assert figures["lesions"] == 2 and figures["detected"] == 0.5
    assert figures["percent_mae"] == pytest.approx(3) and figures["mld_bias_mm"] == pytest.approx(-0.1)
    assert figures["length_error_percent"] == pytest.approx(20)
    assert (figures["coverage_percent"], figures["coverage_mld_px"]) == (1, 0)
    assert "not found" in bench.describe({**row, "case": "phantom_1"})
    assert "+3.0 points by its smallest diameter -0.10 mm" in bench.describe({**found, "case": "phantom_1"})
    assert bench.summary([])["detected"] is None


def test_a_lesion_beside_another_vessel_is_not_clear(script):
    truth, mask = drawn(60.0)
    mask[:, 140:146] = True
    (row,) = script("bench_qca").compare(truth, mask, measure(mask, pixel_spacing_mm=0.25))
    assert not row["clear"]


def test_a_lesion_that_the_collimator_hides_counts_nowhere(script):
    truth, mask = drawn(60.0)
    mask[:, 145:155] = False
    assert not script("bench_qca").compare(truth, mask, measure(mask, pixel_spacing_mm=0.25))


def test_a_stenosis_beside_the_true_ones_is_false(script):
    bench = script("bench_qca")
    truth, mask = drawn(60.0)
    measured = measure(mask, pixel_spacing_mm=truth["pixel_spacing_mm"])
    assert len(measured.lesions) == 1 and bench.false_lesions(truth, measured) == 0
    assert bench.false_lesions({**truth, "lesions": []}, measured) == 1


def test_runs_on_phantoms_and_goes_on_where_it_stopped(script, tmp_path, capsys):
    bench = script("bench_qca")

    def run() -> dict:
        bench.main(
            cache=tmp_path / "cache",
            count=2,
            seed=3,
            input_=["exact", "blurred"],
            out=tmp_path / "out",
            json_file=tmp_path / "figures.json",
        )
        return json.loads((tmp_path / "figures.json").read_text())

    first = run()
    kept = {
        path: path.stat().st_mtime_ns
        for path in (tmp_path / "cache").rglob("*.json")
        if path.name != "datalist.json"
    }
    assert sum("measured" in str(path) for path in kept) == 4
    assert run()["figures"] == first["figures"]
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items())
    assert set(first["figures"]) == {"exact", "blurred"}
    assert first["figures"]["exact"]["all"]["lesions"] == len(first["lesions"]["exact"]) >= 1
    for name in ("exact", "blurred"):
        assert (tmp_path / "out" / name / "bland_altman_mld_mm.svg").is_file()
        lines = (tmp_path / "out" / name / "worst.txt").read_text().split("\n")[:-1]
        assert len(lines) <= 10 and (tmp_path / "out" / name / "worst.png").is_file() == bool(lines)
        assert first["images"][name]["false_lesions"] >= 0
    assert "phantoms, seed 3" in capsys.readouterr().out


def test_unknown_input(script, tmp_path):
    with pytest.raises(typer.Exit):
        script("bench_qca").main(cache=tmp_path, count=1, input_=["guessed"])
