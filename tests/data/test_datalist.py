from __future__ import annotations

import json
import shutil

import pytest
from monai.data import load_decathlon_datalist
from PIL import Image

from monai_lora_sam.data import read_datalist, write_datalist


@pytest.fixture
def files(tmp_path):
    for name in ("set/images/a.png", "set/labels/a.png", "elsewhere/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / name)
    return tmp_path


def _write(files, **splits):
    return write_datalist(
        files / "set/datalist.json",
        name="n",
        task="vessels",
        class_names=["background", "vessel"],
        splits=splits,
    )


def test_round_trip_with_relative_and_absolute_paths(files, monkeypatch):
    monkeypatch.chdir(files)
    entries = [
        {"image": "set/images/a.png", "label": str(files / "set/labels/a.png"), "view": [1.0, 2.0]},
        {"image": "elsewhere/b.png", "label": None, "view": None},
    ]
    path = _write(files, training=entries)
    stored = json.loads(path.read_text())
    assert stored["training"][0] == {"image": "images/a.png", "label": "labels/a.png", "view": [1.0, 2.0]}
    assert stored["training"][1] == {"image": str(files / "elsewhere/b.png"), "view": None}
    assert "test" not in stored
    read = read_datalist(path)
    assert read["training"] == load_decathlon_datalist(path, True, "training")
    assert read["training"][0]["image"] == str(files / "set/images/a.png")
    assert read["validation"] == read["test"] == []
    assert read["class_names"] == ["background", "vessel"]
    shutil.move(files / "set", files / "moved")
    assert read_datalist(files / "moved/datalist.json")["training"][0]["label"] == str(
        files / "moved/labels/a.png"
    )


def test_nothing_is_left_of_a_failed_write(files):
    path = _write(files, training=[{"image": str(files / "elsewhere/b.png")}])
    before = path.read_text()
    with pytest.raises(ValueError, match=r"datalist\.json: expected finite numbers, and null for unknown"):
        _write(files, training=[{"image": "a.png", "pixel_spacing_mm": float("nan")}])
    assert path.read_text() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["datalist.json", "images", "labels"]


def test_wrong_writes(files):
    with pytest.raises(ValueError, match=r"expected the splits .* found \['train'\]"):
        _write(files, train=[])
    with pytest.raises(ValueError, match=r"validation\[0\]: expected the key 'image', found \['label'\]"):
        _write(files, validation=[{"label": "a.png"}])


def test_wrong_entries_are_named_together(files):
    path = files / "set/datalist.json"
    path.write_text(
        json.dumps({"training": [{"image": "images/a.png", "label": "labels/none.png"}, {"image": "no.png"}]})
    )
    with pytest.raises(ValueError, match=r"datalist\.json: 2 wrong entries") as caught:
        read_datalist(path)
    assert "training[0]: label: expected a file, found nothing at" in str(caught.value)
    assert "training[1]: image: expected a file, found nothing at" in str(caught.value)
    path.write_text(json.dumps({"validation": [{"label": "labels/a.png"}, 3]}))
    with pytest.raises(
        ValueError, match=r"validation\[0\]: expected an object with the path 'image'(.|\n)*validation\[1\]"
    ):
        read_datalist(path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"training": 3}'])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(ValueError, match=r"d\.json: expected"):
        read_datalist(tmp_path / "d.json")
    with pytest.raises(FileNotFoundError, match=r"none\.json: expected a datalist, found nothing"):
        read_datalist(tmp_path / "none.json")


def test_further_paths_are_those_that_the_caller_names(files):
    entry = {
        "image": str(files / "set/images/a.png"),
        "depth": str(files / "set/labels/a.png"),
        "site": "a/b.c",
    }
    path = _write(files, training=[entry])
    stored = {"image": "images/a.png", "depth": "labels/a.png", "site": "a/b.c"}
    assert json.loads(path.read_text())["training"] == [stored]
    assert read_datalist(path, ["depth"])["training"] == [entry]
    assert read_datalist(path)["training"][0]["depth"] == "labels/a.png"
    with pytest.raises(ValueError, match="site: expected a file, found nothing at"):
        read_datalist(path, ["site"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": {}}, r"validation: expected a list of entries, found \{\}"),
        ({"training": [["a"]]}, r"training\[0\]: expected an object with the path 'image'"),
        ({"training": [{"image": 7}]}, r"training\[0\]: expected an object with the path 'image'"),
        ({"training": [{"image": "a\0b"}]}, r"training\[0\]: image: expected a path"),
        (
            {"training": [{"image": "d.json", "label": ["d.json"]}]},
            r"label: expected a path, found \['d.json'\]",
        ),
        ({"class_names": 7}, r"class_names: expected a list of texts, found 7"),
        ({"warnings": [None]}, r"warnings: expected a list of texts"),
        ({"task": ["vessels"]}, r"task: expected a text"),
    ],
)
def test_values_of_other_types_are_refused(tmp_path, changes, message):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"training": [], **changes}))
    with pytest.raises(ValueError, match=rf"d\.json: 1 wrong entries:\n  {message}|{message}"):
        read_datalist(path)


def test_splits_of_null_are_empty_and_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"training": [], "validation": None}), encoding="utf-8-sig")
    assert read_datalist(path)["validation"] == []


@pytest.mark.parametrize("content", ["[" * 100_000, "1" * 5000, '{"training": [}'])
def test_no_json_is_one_line(tmp_path, content):
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"d\.json: expected a datalist in JSON, found .*$"):
        read_datalist(path)


def test_a_folder_is_no_datalist(tmp_path):
    with pytest.raises(ValueError, match="expected a datalist in JSON, found Is a directory"):
        read_datalist(tmp_path)
