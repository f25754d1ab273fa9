"""The pages over many images and of a demonstration, and how files are written."""

from __future__ import annotations

import re
from importlib import resources
from urllib.parse import unquote

import numpy as np
import pytest
from markupsafe import Markup

from monai_lora_sam.report import (
    Comparison,
    Section,
    Table,
    Text,
    result_sections,
    write_demo_report,
    write_index,
    write_page,
    write_report,
)
from monai_lora_sam.report.files import write_atomically
from monai_lora_sam.report.page import cell, heading


def test_index_lists_every_image_failed_ones_first(tmp_path, case):
    odd = tmp_path / "a b#c%20"  # a folder name that a link must quote
    write_report(odd, *case)
    write_report(tmp_path / "two", *case)
    write_index(
        tmp_path, [odd, tmp_path / "two"], {"<script>x.png": "x.png: expected an image, found 0 bytes"}
    )
    html = (tmp_path / "index.html").read_text()
    assert "2 done, 1 failed" in html
    assert "&lt;script&gt;x.png" in html and "<script" not in html
    assert html.index("found 0 bytes") < html.index("case.png")
    links = set(re.findall(r'href="([^"]+)"', html))
    assert len(links) == 2
    for link in links:
        assert (tmp_path / unquote(link)).is_file()
    assert html.count("data:image/jpeg;base64,") == 2


def test_index_shows_lesions_and_what_was_skipped(tmp_path, case):
    report, *arrays = case
    lesion = {"id": 1, "segment": "7 LAD mid", "percent_diameter_stenosis": 61.6, "box_xy": [20, 30, 40, 50]}
    write_report(tmp_path / "one", report | {"segments": [], "lesions": [lesion]}, *arrays)
    write_report(tmp_path / "two", report | {"segments": [], "lesions": []}, *arrays)
    write_index(tmp_path, [tmp_path / "one", tmp_path / "two"], skipped=[("dose.dcm", "a dose report")])
    html = (tmp_path / "index.html").read_text()
    assert "2 done, 0 failed, 1 skipped" in html
    assert "62 % in 7 LAD mid" in html and ">none<" in html
    assert html.index("case.png") < html.index("skipped: a dose report")
    assert "<summary>done, 1 warning</summary>The view is a guess.</details>" in html


def test_index_without_any_image(tmp_path):
    write_index(tmp_path, [])
    assert "No image." in (tmp_path / "index.html").read_text()


def test_index_refuses_a_folder_without_report(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"report\.json"):
        write_index(tmp_path, [tmp_path / "missing"])


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


def test_page_formats_cells_and_escapes_them(tmp_path):
    table = Table(["<i>name</i>", "value"], [["a<b", 1.23456], [Markup("<b>bold</b>"), None]])
    write_page(tmp_path / "page.html", "A & B", [Section("One", [Text("<p>"), table])])
    html = (tmp_path / "page.html").read_text()
    for expected in (
        "A &amp; B",
        "&lt;i&gt;name",
        "a&lt;b",
        ">1.23<",
        "<b>bold</b>",
        "<p>&lt;p&gt;</p>",
        ">–<",
    ):
        assert expected in html, expected
    assert '<th class="number">value' in html


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("minimum_diameter_mm", "Minimum diameter (mm)"),
        ("area_px", "Area (px)"),
        ("id", "Id"),
        ("mm", "Mm"),
        ("percent_diameter_stenosis", "Percent diameter stenosis"),
        ("mld_mm", "MLD (mm)"),
        ("cass", "CASS"),
        ("expected_error_percent", "Expected error (%)"),
    ],
)
def test_headings_name_the_unit(field, text):
    assert heading(field) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (3, 3), (0.0, "0.00"), (0.03412, "0.0341"), (123.456, "123.46"), ("x", "x")],
)
def test_cells(value, text):
    assert cell(value) == text


def test_template_is_packaged():
    folder = resources.files("monai_lora_sam.report") / "templates"
    assert {"page.html.j2", "page.css"} <= {file.name for file in folder.iterdir()}


def test_interrupted_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
