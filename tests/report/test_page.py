"""Pages: how cells are formatted and escaped, and how files are written."""

from __future__ import annotations

from html import unescape
from importlib import resources

import pytest
from markupsafe import Markup

from monai_lora_sam.files.write import atomic_write
from monai_lora_sam.report import Code, Section, Table, Text, write_page
from monai_lora_sam.report.page import cell, heading


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


def test_code_is_kept_as_it_is(tmp_path):
    code = "segment 'a b.png' --box 1,2,3,4 \\\n  --out <results>"
    write_page(tmp_path / "page.html", "Code", [Section("Use it", [Code(code)])])
    text = (tmp_path / "page.html").read_text()
    assert unescape(text.split("<pre><code>")[1].split("</code></pre>")[0]) == code
    assert "user-select: all" in text


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("minimum_diameter_mm", "Minimum diameter (mm)"),
        ("area_px", "Area (px)"),
        ("id", "Id"),
        ("mm", "Mm"),
        ("percent_diameter_stenosis", "Percent diameter stenosis"),
        ("mld_mm", "MLD (mm)"),
        ("rvd", "RVD"),
        ("cass", "Cass"),
        ("expected_error_percent", "Expected error (%)"),
    ],
)
def test_headings_name_the_unit(field, text):
    assert heading(field, {"mld", "rvd"}) == text


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
    atomic_write(path, b"old")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_table_of_many_columns_says_each_column_at_its_cell(tmp_path):
    names = ["Id", "Length <mm>", "MLD", "RVD", "%DS"]
    tables = [Table(names, [[1, 2.5, 3.5, 4.5, 20]]), Table(names[:2], [[1, 2.5]])]
    write_page(tmp_path / "page.html", "Page", [Section("Tables", tables)])
    page = (tmp_path / "page.html").read_text()
    assert page.count('<div class="table many">') == 1 and page.count('<div class="table">') == 1
    assert 'data-column="Length &lt;mm&gt;"' in page
