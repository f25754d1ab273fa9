"""The report of one image: files, sections, escaping, refusals."""

from __future__ import annotations

import copy
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.report import write_report
from monai_lora_sam.coronary.report.result import view_name


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


@pytest.fixture
def lesion():
    """A lesion from 8 to 32 px along a straight vessel with 9 px, narrowest in its middle."""
    arc = np.arange(0, 41, dtype=float)
    diameter = 9 - 5 * np.clip(1 - np.abs(arc - 20) / 12, 0, None)
    walls = {
        name: np.stack([30 + arc, 40 + sign * diameter / 2], axis=1).tolist()
        for name, sign in (("left_wall_xy", -1), ("right_wall_xy", 1))
    }
    return {
        "id": 1,
        "segment": "6 LAD proximal",
        "score": 0.8,
        "box_xy": [38.0, 34.0, 62.0, 46.0],
        "percent_diameter_stenosis": 55.5,
        "percent_diameter_stenosis_interval": [48.0, 63.0],
        "mld_px": 4.0,
        "mld_mm": 1.2,
        "mld_xy": [50.0, 40.0],
        "profile": {
            "proximal_border_px": 8.0,
            "distal_border_px": 32.0,
            "mld_position_px": 20.0,
            "arc_length_px": arc.tolist(),
            "diameter_px": diameter.tolist(),
            "reference_diameter_px": [9.0] * len(arc),
            **walls,
        },
    }


def test_segments_and_lesions_slot_in(tmp_path, case, lesion):
    report, image, vessels, probability = case
    segments = np.where(vessels, 6, 0)
    row = {"id": 6, "name": "6 LAD proximal", "syntax": "6", "cass": "12 proximal LAD", "length_mm": 30.0}
    report |= {"segments": [row], "lesions": [lesion]}
    write_report(tmp_path, report, image, vessels, probability, segments)
    page = read(tmp_path)
    for expected in (
        "6 LAD proximal",
        "CASS",
        "%DS, 95 %",
        "48–63",
        "MLD (mm)",
        "reference diameter",
        "Lesion 1, 6 LAD proximal",
        "1 · 56 %",
    ):
        assert expected in page.text, expected
    assert "MLD (px)" not in page.text  # millimetres are enough for a reader
    # The box in the segments' and in the vessels' layer, the shaded lesion in the chart.
    assert page.tags.count("rect") == 3
    html = (tmp_path / "report.html").read_text()
    assert 'width="24.0" height="12.0"' in html


def test_segment_table_names_the_lesions_in_each(tmp_path, case, lesion):
    report, *arrays = case
    rows = [{"id": 6, "name": "6 LAD proximal"}, {"id": 7, "name": "7 LAD mid"}]
    report |= {"segments": rows, "lesions": [lesion]}
    write_report(tmp_path, report, *arrays, np.where(arrays[1], 6, 0))
    table = (tmp_path / "report.html").read_text().split("<h2>Segments</h2>")[1].split("</table>")[0]
    cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall("<td.*?</td>", table)]
    assert cells == ["6 LAD proximal", "1 · 56 %", "7 LAD mid", "–"]


def test_segment_table_has_the_measurements(tmp_path, case):
    report, *arrays = case
    measured = {
        "id": 6,
        "name": "6 LAD proximal",
        "syntax": "6",
        "cass": "12 LAD proximal",
        "length_px": 40.0,
        "length_mm": 12.0,
        "proximal_border_position_mm": 1.0,
        "distal_border_position_mm": 13.0,
        "mld_mm": 1.25,
        "mld_position_mm": 7.0,
        "rvd_mm": 2.5,
        "averaged_rvd_mm": None,
        "percent_diameter_stenosis": 50.2,
        "percent_area_stenosis": 75.1,
        "proximal_diameter_mm": 2.75,
        "distal_diameter_mm": 2.25,
        "total_occlusion": False,
        "lesions": [],
    }
    other = {"id": 7, "name": "7 LAD mid", "cass": "no counterpart", "length_mm": 3.0}
    report["segments"] = [measured, other]
    write_report(tmp_path, report, *arrays, np.where(arrays[1], 6, 0))
    section = (tmp_path / "report.html").read_text().split("<h2>Segments</h2>")[1].split("</section>")[0]
    titles = re.findall("<th.*?>(.*?)</th>", section)
    rows = [
        re.findall("<td.*?>(.*?)</td>", row) for row in re.findall("<tr>.*?</tr>", section, re.DOTALL)[1:]
    ]
    first, second = (dict(zip(titles, row, strict=True)) for row in rows)
    assert {title: first[title] for title in titles[1:]} == {
        "CASS": "12",
        "Borders (mm)": "1.0–13.0",
        "Length (mm)": "12.00",
        "MLD (mm)": "1.25",
        "MLD at (mm)": "7.00",
        "RVD at the MLD (mm)": "2.50",
        "%DS": "50",
        "Area stenosis (%)": "75",
        "RVD, proximal (mm)": "2.75",
        "RVD, distal (mm)": "2.25",
    }
    assert (second["CASS"], second["Length (mm)"], second["MLD (mm)"]) == ("–", "3.00", "–")
    assert "not measured" in section


def test_calibration_is_said(tmp_path, case):
    report, *arrays = case
    report["calibration"] = {"source": "catheter of 6 French", "pixel_spacing_mm": 0.23456}
    write_report(tmp_path, report, *arrays)
    text = read(tmp_path).text
    assert "Calibration" in text and "catheter of 6 French" in text and "0.2346" in text


def test_a_lesion_with_nothing_but_its_place_is_shown(tmp_path, case):
    report, *arrays = case
    report["lesions"] = [{"id": 1, "mld_xy": [20.0, 40.0]}, {"id": 2, "box_xy": [100, 0, 119, 10]}]
    write_report(tmp_path, report, *arrays)
    assert read(tmp_path).tags.count("circle") == 1


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
    assert page.tags.count("img") == 3  # angiogram, probability, enlarged lesion
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
        ValueError, match="expected a report of schema 'monai-lora-sam/report/2', found 'other/2'"
    ):
        write_report(tmp_path, case[0] | {"schema": "other/2"}, *case[1:])


def test_report_with_nan_is_refused_and_the_old_one_stays(tmp_path, case):
    write_report(tmp_path, *case)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError):
        write_report(tmp_path, case[0] | {"timings_s": {"vessels": math.nan}}, *case[1:])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
