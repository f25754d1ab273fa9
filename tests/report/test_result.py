"""The report of one image: files, sections, escaping, refusals."""

from __future__ import annotations

import copy
import json
import math
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.report import write_report
from monai_lora_sam.report.result import view_name


class Page(HTMLParser):
    """Collect tags, links and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value for name, value in attrs if name in ("src", "href", "action", "data")]

    def handle_data(self, data):
        self.words.append(data.strip())

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)


def read(folder) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_three_files_and_nothing_else(tmp_path, case):
    write_report(tmp_path / "new", *case)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "overlay.png",
        "report.html",
        "report.json",
    ]
    assert json.loads((tmp_path / "new" / "report.json").read_text()) == case[0]
    with Image.open(tmp_path / "new" / "overlay.png") as overlay:
        assert overlay.size == (120, 80) and overlay.mode == "RGB"


def test_page_is_self_contained(tmp_path, case):
    write_report(tmp_path, *case)
    page = read(tmp_path)
    assert len(page.links) == 2  # angiogram and probability
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    html = (tmp_path / "report.html").read_text()
    assert "@import" not in html and "url(" not in html and "http://" not in html and "https://" not in html


def test_page_shows_what_the_report_says(tmp_path, case):
    write_report(tmp_path, *case)
    text = read(tmp_path).text
    branch = case[0]["vessels"]["branches"][0]
    for expected in (
        "case.png",
        "120 × 80 px",
        "0.3 mm",
        "RAO 30° CRA 20°",
        "The view is a guess.",
        "research use only",
        "arcade",
        "1.2.3",
        "ab12" * 16,
        "9.9.9",
        "Median diameter (mm)",
        f"{branch['median_diameter_mm']:.2f}",
        f"{branch['length_mm']:.2f}",
        "distance (mm)",
    ):
        assert expected in text, expected
    assert "Median diameter (px)" not in text  # millimetres are enough for a reader


@pytest.mark.parametrize("key", ["vessels", "stages", "timings_s", "software", "warnings"])
def test_section_is_there_only_with_its_key(tmp_path, case, key):
    titles = {"vessels": "Vessels", "stages": "Stages", "timings_s": "Timings", "software": "Software"}
    report, *arrays = case
    report = {name: value for name, value in report.items() if name != key}
    write_report(tmp_path, report, *arrays)
    html = (tmp_path / "report.html").read_text()
    for name, title in titles.items():
        assert (f"<h2>{title}</h2>" in html) == (name in report)
    assert ('class="notes"' in html) == ("warnings" in report)


def test_segments_and_lesions_slot_in(tmp_path, case):
    report, image, vessels, probability = case
    segments = np.where(vessels, 6, 0)
    profile = {"arc_length_px": [0, 10, 20], "diameter_px": [9, 4, 9], "reference_diameter_px": [9, 9, 9]}
    report |= {
        "segments": [{"id": 6, "name": "LAD proximal"}],
        "lesions": [
            {"id": 1, "percent_diameter_stenosis": 55.5, "box_xy": [40, 30, 60, 50], "profile": profile}
        ],
    }
    write_report(tmp_path, report, image, vessels, probability, segments)
    page = read(tmp_path)
    assert "LAD proximal" in page.text and "Percent diameter stenosis" in page.text and "55.50" in page.text
    assert "reference diameter" in page.text and "Lesion 1" in page.text
    assert page.tags.count("rect") == 2  # in the segments' layer and in the vessels' layer
    assert "width=20" in (tmp_path / "report.html").read_text().replace('"', "").replace(".0", "")


def test_no_lesion_is_said(tmp_path, case):
    write_report(tmp_path, case[0] | {"lesions": []}, *case[1:])
    assert "No lesion was found." in read(tmp_path).text


def test_names_from_outside_are_escaped(tmp_path, case):
    report, *arrays = copy.deepcopy(case)
    evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>&.png'
    report["image"]["file"] = evil
    report["warnings"] = [evil]
    report["stages"][0]["adapter"] = evil
    report["software"] = {evil: evil}
    report["timings_s"] = {evil: 1.0}
    report["segments"] = [{"id": 1, "name": evil}]
    report["lesions"] = [
        {"id": evil, "box_xy": [1, 2, 3, 4], "profile": report["vessels"]["branches"][0]["profile"]}
    ]
    report["vessels"]["branches"][0]["id"] = evil
    write_report(tmp_path, report, *arrays, arrays[1].astype(int))
    page = read(tmp_path)
    assert "script" not in page.tags and "onerror" not in page.attributes
    assert page.tags.count("img") == 2
    assert page.text.count(evil) >= 8


def test_unknown_spacing_and_view_are_said(tmp_path, case):
    report, *arrays = case
    report["image"] |= {"pixel_spacing_mm": None, "view": None}
    for branch in report["vessels"]["branches"]:
        for key in [key for key in branch if key.endswith("_mm")]:
            del branch[key]
    write_report(tmp_path, report, *arrays)
    text = read(tmp_path).text
    assert "Pixel spacing unknown" in text and "View unknown" in text
    assert "Median diameter (px)" in text and "distance (px)" in text


def test_empty_vessels(tmp_path, case):
    report, image, vessels, probability = case
    report["vessels"] = {"threshold": 0.5, "area_px": 0, "branches": []}
    write_report(tmp_path, report, image, np.zeros_like(vessels), np.zeros_like(probability))
    assert "No branch was found." in read(tmp_path).text


@pytest.mark.parametrize(
    ("angles", "name"),
    [((30, -20), "LAO 30° CAU 20°"), ((-30.5, 20), "RAO 30.5° CRA 20°"), ((0, 0), "LAO 0° CRA 0°")],
)
def test_view_has_the_signs_of_dicom(angles, name):
    assert view_name(*angles) == name


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (1, np.zeros((80, 121)), r"case.png: expected image of shape \(80, 120\), found \(80, 121\)"),
        (1, np.full((80, 120), 255.0), "case.png: expected image within 0..1, found 255"),
        (1, np.full((80, 120), np.nan), "case.png: expected image within 0..1, found nan"),
        (2, np.zeros((80, 120)), "case.png: expected vessels as bool, found float64"),
        (3, np.full((80, 120), -0.1), "case.png: expected probability within 0..1, found -0.1"),
    ],
)
def test_wrong_arrays_are_refused_before_anything_is_written(tmp_path, case, place, value, message):
    arguments = list(case)
    arguments[place] = value
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path / "new", *arguments)
    assert not (tmp_path / "new").exists()


def test_other_schema_is_refused(tmp_path, case):
    with pytest.raises(
        ValueError, match="expected a report of schema 'monai-lora-sam/report/1', found 'other/2'"
    ):
        write_report(tmp_path, case[0] | {"schema": "other/2"}, *case[1:])


def test_report_with_nan_is_refused_and_the_old_one_stays(tmp_path, case):
    write_report(tmp_path, *case)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError):
        write_report(tmp_path, case[0] | {"timings_s": {"vessels": math.nan}}, *case[1:])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
