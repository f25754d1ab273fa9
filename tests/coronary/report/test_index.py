"""The page over many images."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from monai_lora_sam.coronary.report import (
    write_index,
    write_report,
)


def test_index_lists_every_image_failed_ones_first(tmp_path, case):
    odd = tmp_path / "a b#c%20"  # a folder name that a link must quote
    write_report(odd, *case)
    write_report(tmp_path / "two", *case)
    write_index(
        tmp_path, [odd, tmp_path / "two"], [("<script>x.png", "x.png: expected an image, found 0 bytes")]
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
    assert "done, warnings 1" in html and html.count("The view is a guess.") == 1


def test_index_without_any_image(tmp_path):
    write_index(tmp_path, [])
    assert "No image." in (tmp_path / "index.html").read_text()


def test_index_refuses_a_folder_without_report(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"report\.json"):
        write_index(tmp_path, [tmp_path / "missing"])


def test_index_shows_the_score_of_confirmed_lesions(tmp_path, case):
    write_report(tmp_path / "one", *case)
    lesion = {
        "lesion": 1,
        "percent_diameter_stenosis": 72,
        "segments": {"6": 7.0},
        "adverse": {},
        "points": 7.0,
    }
    small = {**lesion, "lesion": 2, "segments": {"9": 0.0}, "points": 0.0, "not_counted": "below 50 %DS"}
    score = {"syntax_score": 7.0, "dominance": "right", "lesions": [lesion, small], "diffuse_points": 0.0}
    write_index(tmp_path, [tmp_path / "one"], confirmed=score)
    html = (tmp_path / "index.html").read_text()
    for expected in ("SYNTAX score 7, right dominance", "segment 6: 7", "not counted, below 50 %DS"):
        assert expected in html
    write_index(tmp_path, [tmp_path / "one"])
    assert "SYNTAX score" not in (tmp_path / "index.html").read_text()
