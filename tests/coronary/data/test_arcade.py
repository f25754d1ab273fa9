from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from monai.data import load_decathlon_datalist
from PIL import Image, ImageDraw
from skimage import measure

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.data import prepare_arcade
from monai_lora_sam.coronary.images import read_angiogram
from monai_lora_sam.data import DatasetError, read_datalist


def square(x, y, side):
    return [x, y, x + side, y, x + side, y + side, x, y + side]


ONE = {"1.png": (1, [(5, [square(10, 10, 20)]), (13, [square(20, 20, 6)])])}


def _label(entry):
    return np.asarray(Image.open(entry["label"]))


def test_vessels_are_the_union_and_segments_the_category_ids(make_split, tmp_path):
    source = make_split(ONE)
    make_split({"1.png": (2, [(1, [square(0, 0, 10)])])}, split="val")
    datalist = read_datalist(prepare_arcade(source, tmp_path / "vessels", "vessels"))
    assert datalist["task"] == "vessels"
    assert datalist["class_names"] == ["background", "vessel"]
    assert [len(datalist[s]) for s in ("training", "validation", "test")] == [1, 1, 0]
    label = _label(datalist["training"][0])
    assert label.dtype == np.uint8
    assert label.sum() == 400
    assert set(np.unique(label)) == {0, 1}

    datalist = read_datalist(prepare_arcade(source, tmp_path / "segments", "segments"))
    assert datalist["class_names"] == ARCADE_CLASS_NAMES
    label = _label(datalist["training"][0])
    # The smaller segment lies inside the larger and is on top.
    assert {value: int((label == value).sum()) for value in np.unique(label)} == {
        0: 64 * 64 - 400,
        5: 364,
        13: 36,
    }


def test_a_seam_between_two_segments_is_closed_and_a_real_gap_is_not(make_split, tmp_path):
    tall = [10, 10, 16, 10, 16, 30, 10, 30]
    below = [10, 31, 16, 31, 16, 40, 10, 40]  # One row of pixels lies between.
    apart = [10, 43, 16, 43, 16, 50, 10, 50]  # Three rows.
    source = make_split({"1.png": (1, [(5, [tall]), (6, [below]), (7, [apart])])})
    segments = read_datalist(prepare_arcade(source, tmp_path / "segments", "segments"))["training"][0]
    vessels = read_datalist(prepare_arcade(source, tmp_path / "vessels", "vessels"))["training"][0]
    label = _label(segments)
    assert (label[30, 10:16] == 6).all()
    assert not label[40:43].any()
    assert label[10:30, 10:16].min() == label[10:30, 10:16].max() == 5
    assert not label[:, :9].any()
    np.testing.assert_array_equal(_label(vessels), label > 0)


def test_entries_say_what_is_known_and_monai_reads_them(make_split, tmp_path):
    path = prepare_arcade(make_split(ONE), tmp_path / "out", "vessels")
    [entry] = load_decathlon_datalist(path, True, "training")
    assert entry["image"] == str(tmp_path / "arcade/syntax/train/images/1.png")
    assert entry["label"] == str(tmp_path / "out/labels/train/1.png")
    assert entry["view"] is None
    assert entry["pixel_spacing_mm"] is None
    assert entry["modality"] == "XA"
    assert json.loads(path.read_text())["training"][0]["label"] == "labels/train/1.png"  # It can be moved.


def test_stenosis_entries_have_boxes_and_polygons(make_split, tmp_path):
    source = make_split(
        {"1.png": (1, [(26, [square(4, 8, 10)]), (26, [square(30, 40, 5)])]), "2.png": (2, [])},
        subfolder="stenosis",
    )
    datalist = read_datalist(prepare_arcade(source, tmp_path / "out", "stenosis"))
    lesions = datalist["training"][0]["lesions"]
    assert [lesion["box_xyxy"] for lesion in lesions] == [[4, 8, 14, 18], [30, 40, 35, 45]]
    assert lesions[0]["polygons_xy"] == [square(4, 8, 10)]
    assert lesions[0]["area_px"] == 100
    assert _label(datalist["training"][0]).sum() == 125
    assert datalist["training"][1]["lesions"] == []
    assert any("2.png: kept as an image without lesions" in text for text in datalist["warnings"])


def test_copies_never_fall_on_both_sides(make_split, tmp_path):
    ring = [(5, [square(10, 10, 20)])]
    source = make_split({"1.png": (1, ring), "2.png": (2, ring), "3.png": (2, ring), "4.png": (4, ring)})
    make_split({"7.png": (4, ring), "8.png": (8, ring)}, split="val")
    make_split({"9.png": (8, ring)}, split="test")
    # A copy may be RGB: grey repeated.
    copy = source / "syntax/val/images/7.png"
    Image.open(copy).convert("RGB").save(copy)
    datalist = read_datalist(prepare_arcade(source, tmp_path / "out", "vessels"))
    names = {
        s: [e["image"].rsplit("/", 1)[1] for e in datalist[s]] for s in ("training", "validation", "test")
    }
    assert names == {"training": ["1.png", "2.png", "3.png"], "validation": ["7.png"], "test": ["9.png"]}
    cases = [entry["case_id"] for entry in datalist["training"]]
    assert cases[1] == cases[2] != cases[0]
    left_out = [text for text in datalist["warnings"] if "left out of" in text]
    assert len(left_out) == 2
    assert "train/images/4.png: left out of train: a copy of it is in val" in left_out[0]


def test_harmless_oddities_are_warnings(make_split, tmp_path):
    def edit(coco):
        for annotation in coco["annotations"]:
            annotation["id"] = 7
        coco["annotations"].append(dict(coco["annotations"][0]))

    source = make_split({**ONE, "2.png": (2, [])}, edit=edit)
    Image.new("L", (4, 4)).save(source / "syntax/train/images/stray.png")
    datalist = read_datalist(prepare_arcade(source, tmp_path / "out", "segments"))
    text = "\n".join(datalist["warnings"])
    assert "2 annotation ids repeat" in text
    assert "annotations[2]: left out: the same polygon occurs twice" in text
    assert "2.png: left out: it has no annotation" in text
    assert "stray.png: left out:" in text
    assert "syntax/val: expected a folder, found none" in text
    assert len(datalist["training"]) == 1


def test_problems_are_reported_together_by_file(make_split, tmp_path):
    def edit(coco):
        coco["images"].append({"id": 90, "file_name": "missing.png", "height": 64, "width": 64})
        coco["images"].append({"id": 1, "file_name": "1.png", "height": 64, "width": 64})
        coco["images"].append({"id": 91})
        coco["images"][1]["width"] = 32
        for category, image_id, rings in (
            (99, 1, [square(0, 0, 5)]),
            (26, 1, [square(0, 0, 5)]),
            (5, 1, [square(60, 60, 10)]),
            (5, 1, [[1, 1, 5, 5]]),
            (5, 1, [[1, 1, 5, 5, 9, 9]]),
            (5, 1, [[1, 1, 5, float("nan"), 9, 9]]),
            (5, 77, [square(0, 0, 5)]),
            (5, 1, "a mask"),
        ):
            coco["annotations"].append({"image_id": image_id, "category_id": category, "segmentation": rings})
        coco["annotations"].append({"image_id": 1})

    source = make_split({**ONE, "2.png": (2, [(1, [square(1, 1, 5)])]), "3.png": (3, [])}, edit=edit)
    (source / "syntax/train/images/3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    with pytest.raises(DatasetError) as caught:
        prepare_arcade(source, tmp_path / "out", "segments")
    folder = source / "syntax/train"
    problems = caught.value.errors
    assert set(problems) == {
        str(folder / "annotations/train.json"),
        *(str(folder / "images" / name) for name in ("missing.png", "2.png", "3.png")),
    }
    text = str(caught.value)
    for expected in (
        "images[4]: expected an id of its own, found 1 a second time",
        "images[5]: expected id, file_name, width and height, found KeyError('file_name')",
        "annotations[3]: expected a category from 1 to 25, found 99",
        "annotations[4]: expected a category from 1 to 25, found 26",
        "annotations[5] (image 1.png): expected a polygon inside the image of 64x64 (x, y), found [60.0",
        "annotations[6] (image 1.png): expected a polygon of at least 3 points x, y, found 4 numbers",
        "annotations[7] (image 1.png): expected a polygon with an area, found a degenerate one",
        "annotations[8] (image 1.png): expected finite coordinates, found NaN",
        "annotations[9]: expected the id of an image, found 77",
        "annotations[10] (image 1.png): expected a list of polygons, found 'a mask'",
        "annotations[11]: expected image_id, category_id and segmentation, found KeyError",
        "expected (64, 32) (rows, columns), found (64, 64)",
        "expected a readable PNG image",
    ):
        assert expected in text
    assert text.startswith("14 problem(s) in 4 file(s)")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "expected an annotation file in JSON"),
        ("[]", "expected COCO with lists"),
        ('{"images": []}', r"no \['annotations'\]"),
    ],
)
def test_broken_annotation_files(make_split, tmp_path, content, message):
    source = make_split(ONE)
    (source / "syntax/train/annotations/train.json").write_text(content)
    with pytest.raises(DatasetError, match=rf"train\.json\n.*{message}"):
        prepare_arcade(source, tmp_path / "out")
    (source / "syntax/train/annotations/train.json").unlink()
    with pytest.raises(DatasetError, match="expected an annotation file, found nothing"):
        prepare_arcade(source, tmp_path / "out")


def test_wrong_calls(tmp_path):
    with pytest.raises(ValueError, match=r"task: expected one of .*'vessels'\], found 'cells'"):
        prepare_arcade(tmp_path, tmp_path / "out", "cells")
    with pytest.raises(FileNotFoundError, match="syntax: expected the folders train, val, test"):
        prepare_arcade(tmp_path, tmp_path / "out")


def test_a_second_run_keeps_labels_and_mends_broken_and_stale_ones(make_split, tmp_path):
    ring = [(5, [square(10, 10, 20)])]
    source, out = make_split({f"{i}.png": (i, ring) for i in range(4)}), tmp_path / "out"
    calls = []
    path = prepare_arcade(source, out, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 4) for i in range(1, 5)]
    first, labels = path.read_text(), sorted((out / "labels/train").iterdir())
    assert len(labels) == 4
    stamps = [label.stat().st_mtime_ns for label in labels]
    labels[1].write_bytes(labels[1].read_bytes()[:60])
    Image.new("L", (64, 64)).save(labels[2])
    assert prepare_arcade(source, out).read_text() == first
    changed = [label.stat().st_mtime_ns != stamp for label, stamp in zip(labels, stamps, strict=True)]
    assert changed == [False, True, True, False]
    assert all(np.asarray(Image.open(label)).sum() == 400 for label in labels)
    annotations = source / "syntax/train/annotations/train.json"
    annotations.write_text(annotations.read_text().replace("30", "28"))
    prepare_arcade(source, out)
    assert all(np.asarray(Image.open(label)).sum() == 324 for label in labels)
    assert sorted(p.name for p in (out / "labels/train").iterdir()) == [label.name for label in labels]


def test_published_files_go_through(shared_data, tmp_path):
    source = shared_data / "arcade"
    calls = []
    # A folder with the two val splits only: few images.
    for subfolder in ("syntax", "stenosis"):
        (tmp_path / "arcade" / subfolder).mkdir(parents=True)
        (tmp_path / "arcade" / subfolder / "val").symlink_to(source / subfolder / "val")
    source = tmp_path / "arcade"
    vessels = read_datalist(prepare_arcade(source, tmp_path / "v", "vessels", lambda *c: calls.append(c)))
    segments = read_datalist(prepare_arcade(source, tmp_path / "s", "segments"))
    stenosis = read_datalist(prepare_arcade(source, tmp_path / "l", "stenosis"))
    assert len(vessels["validation"]) == len(segments["validation"]) == 100
    assert len(stenosis["validation"]) == 50
    assert calls[-1] == (100, 100)
    for vessel, segment in zip(vessels["validation"][:20], segments["validation"][:20], strict=True):
        np.testing.assert_array_equal(_label(vessel), _label(segment) > 0)
    pieces = [measure.label(_label(entry), connectivity=2).max() for entry in vessels["validation"]]
    assert np.mean(pieces) < 1.25  # 1.5 with the seams.
    annotations = json.loads((source / "stenosis/val/annotations/val.json").read_text())
    boxes = [lesion["box_xyxy"] for entry in stenosis["validation"] for lesion in entry["lesions"]]
    published = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in annotations["annotations"])]
    np.testing.assert_allclose(sorted(boxes), sorted(published), atol=0.02)
    # Pillow also paints the outline: its mask holds ours, and is wider by about the outline.
    entry = stenosis["validation"][0]
    canvas = Image.new("L", (512, 512))
    for lesion in entry["lesions"]:
        ImageDraw.Draw(canvas).polygon(lesion["polygons_xy"][0], fill=1)
    ours, pillow = _label(entry) > 0, np.asarray(canvas) > 0
    assert (ours & ~pillow).sum() <= 0.01 * ours.sum()


def test_the_records_of_one_file_are_one_image(make_split, tmp_path):
    def edit(coco):
        coco["images"][1]["file_name"] = "./1.png"

    source = make_split({**ONE, "2.png": (2, [(7, [square(40, 40, 8)])])}, edit=edit)
    datalist = read_datalist(prepare_arcade(source, tmp_path / "out", "segments"))
    (entry,) = datalist["training"]
    assert {7} < set(np.unique(np.asarray(Image.open(entry["label"]))).tolist()) - {0}
    assert "images[1]: joined with another record of 1.png" in "\n".join(datalist["warnings"])


def test_images_of_one_stem_keep_labels_of_their_own(make_split, tmp_path):
    names = ("1.png", "1.jpg", "1.jpg.png", "1.PNG", "sub/1.png")
    content = {
        name.replace("/", "_"): (i, [(i, [square(4, 4, 20)])]) for i, name in enumerate(names, start=1)
    }

    def edit(coco):
        coco["images"][-1]["file_name"] = "sub\\1.png"

    source = make_split(content, edit=edit)
    images = source / "syntax/train/images"
    (images / "sub").mkdir()
    (images / "sub_1.png").rename(images / "sub/1.png")
    datalist = read_datalist(prepare_arcade(source, tmp_path / "out", "segments"))
    for number, entry in enumerate(datalist["training"], start=1):
        assert np.asarray(Image.open(entry["label"])).max() == number
    labels = [
        Path(entry["label"]).relative_to(tmp_path / "out/labels/train") for entry in datalist["training"]
    ]
    assert list(map(str, labels)) == ["1.png", "1.jpg.png", "1.jpg.png.png", "1.PNG.png", "sub/1.png"]


def test_a_picture_is_turned_by_exif_and_its_label_is_not(make_split, tmp_path):
    source = make_split(ONE)
    path = source / "syntax/train/images/1.png"
    upright = np.asarray(Image.open(path))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(upright)).save(path, exif=exif)
    (entry,) = read_datalist(prepare_arcade(source, tmp_path / "out", "vessels"))["training"]
    assert np.array_equal(np.round(read_angiogram(entry["image"]).pixels * 255), upright)


def test_polygons_of_the_unturned_picture_are_refused(make_split, tmp_path):
    def edit(coco):
        coco["images"][0]["height"] = 40

    source = make_split(ONE, edit=edit)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (64, 40)).save(source / "syntax/train/images/1.png", exif=exif)
    with pytest.raises(
        DatasetError, match=r"expected \(40, 64\) .*polygons drawn on the picture as its EXIF"
    ):
        prepare_arcade(source, tmp_path / "out")


def test_the_folder_of_the_task_serves_as_source(make_split, tmp_path):
    source = make_split(ONE)
    assert prepare_arcade(source / "syntax", tmp_path / "out").is_file()
    with pytest.raises(FileNotFoundError, match=r"arcade/stenosis: expected the folders"):
        prepare_arcade(source / "stenosis", tmp_path / "out", "stenosis")


def test_annotations_of_nothing_are_refused(make_split, tmp_path):
    with pytest.raises(ValueError, match="syntax: expected annotated images, found none"):
        prepare_arcade(make_split({"1.png": (1, [])}), tmp_path / "out")


@pytest.mark.parametrize(
    ("case", "values"),
    [
        ("01_bom", [[5, 6], [1]]),
        ("10_two_records_one_file", [[5, 6]]),
        ("11_same_stem_other_extension", [[5, 6], [1]]),
        ("20_categories_sorted_by_name", [[5, 6], [1]]),
        ("53_name_nfc_file_nfd", [[5, 6], [1]]),
        ("61_exif", [[5, 6], [1]]),
        ("31_empty_segmentation", "found a box alone"),
        ("36_strings", "expected numbers, found '10'"),
        ("60_stenosis_boxes_alone", "found a box alone"),
    ],
)
def test_annotation_files_that_once_went_wrong(shared_cases, tmp_path, case, values):
    source, task = shared_cases / "i_coco" / case, "stenosis" if "stenosis" in case else "segments"
    if isinstance(values, str):
        with pytest.raises(DatasetError, match=values):
            prepare_arcade(source, tmp_path, task)
        return
    entries = read_datalist(prepare_arcade(source, tmp_path, task))["training"]
    labels = [np.unique(np.asarray(Image.open(entry["label"])))[1:].tolist() for entry in entries]
    assert labels == values
