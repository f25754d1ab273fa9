from __future__ import annotations

import numpy as np
import pytest
from pycocotools.coco import COCO

from monai_lora_sam.coronary.metrics import (
    instances_from_coco,
    instances_to_coco,
    label_map_to_instances,
    lesions_to_instances,
    make_instance,
    score_arcade_segments,
)
from monai_lora_sam.coronary.transforms import polygon_area, polygons_to_mask


def test_label_map_becomes_outlines_that_draw_it_again():
    labels = np.zeros((60, 80), dtype=np.uint8)
    row, column = np.mgrid[:60, :80]
    labels[np.hypot(row - 20, column - 20) < 12.3] = 5
    labels[(abs(row - column + 10) < 4) & (row > 34)] = 6
    labels[50:53, 70:] = 5  # A second piece, at the border.
    instances = label_map_to_instances(labels)
    assert [instance["category_id"] for instance in instances] == [5, 6]
    rings = instances[0]["segmentation"]
    assert len(rings) == 2 and polygon_area(rings[0]) > polygon_area(rings[1])
    drawn = polygons_to_mask([i["segmentation"] for i in instances], [5, 6], labels.shape)
    np.testing.assert_array_equal(drawn, labels)
    # The outline cuts an eighth of a pixel off each corner.
    assert polygon_area(rings[1]) == pytest.approx(3 * 10 - 4 / 8)
    assert instances[0]["bbox"][:2] == [8, 8] and sum(instances[0]["bbox"][0::2]) == 80
    assert score_arcade_segments([instances], [label_map_to_instances(labels)], "corrected").f1 == 1


def test_small_classes_holes_and_single_pixels():
    labels = np.zeros((20, 20), dtype=np.int64)
    labels[2:9, 2:9] = 3
    labels[4:6, 4:6] = 0
    labels[15, 15] = labels[16, 16] = 4  # Touch at a corner: one piece.
    found = label_map_to_instances(labels)
    assert [len(instance["segmentation"]) for instance in found] == [1, 1]
    assert polygon_area(found[0]["segmentation"][0]) == pytest.approx(49 - 0.5)
    assert [i["category_id"] for i in label_map_to_instances(labels, minimum_area_px=3)] == [3]
    assert label_map_to_instances(np.zeros((20, 20))) == []


def test_lesions_are_outlined_by_their_polygon_their_vessel_or_their_box():
    lesion = {"box_xyxy": [10, 10, 30, 20]}
    assert lesions_to_instances([lesion])[0]["segmentation"] == [[10, 10, 30, 10, 30, 20, 10, 20]]
    vessels = np.zeros((40, 40), dtype=bool)
    vessels[13:16] = True
    vessels[18, 12:14] = True  # A smaller piece in the box.
    (outlined,) = lesions_to_instances([lesion], vessels)
    (ring,) = outlined["segmentation"]
    assert polygon_area(ring) == pytest.approx(20 * 3 - 4 / 8)
    assert (min(ring[0::2]), max(ring[0::2]), min(ring[1::2]), max(ring[1::2])) == (10, 30, 13, 16)
    assert outlined["bbox"] == [10, 10, 20, 10]
    assert lesions_to_instances([lesion], np.zeros((40, 40))) == lesions_to_instances([lesion])
    triangle = lesion | {"polygons_xy": [[10.0, 10.0, 30.0, 20.0, 30.0, 10.0]]}
    assert lesions_to_instances([triangle], vessels)[0]["segmentation"] == triangle["polygons_xy"]


def test_coco_there_and_back():
    instances = {
        "b.png": [make_instance(5, [[0, 0, 4, 0, 4, 4]]), make_instance(26, [[1, 1, 9, 1, 9, 5]])],
        "a.png": [],
        "c.png": [make_instance(5, [[2, 2, 4, 2, 4, 4]])],
    }
    content = instances_to_coco(instances, shape=(64, 32))
    assert instances_from_coco(content) == instances
    assert [a["id"] for a in content["annotations"]] == [1, 2, 3]
    assert content["categories"][9] == {"id": 10, "name": "9a", "supercategory": ""}
    # As its own library reads it.
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    assert coco.annToMask(coco.loadAnns(coco.getAnnIds(imgIds=[1], catIds=[26]))[0]).shape == (64, 32)
    assert len(coco.getAnnIds(imgIds=[2])) == 0


def test_bad_input_is_refused():
    ring = [0, 0, 4, 0, 4, 4]
    with pytest.raises(ValueError, match="expected an ARCADE category id from 1 to 26, found 27"):
        make_instance(27, [ring])
    with pytest.raises(ValueError, match="at least 3 finite points x, y, found 4 numbers"):
        make_instance(5, [[0, 0, 4, 4]])
    with pytest.raises(ValueError, match="at least 3 finite points"):
        make_instance(5, [[0, 0, 4, 0, 4, float("nan")]])
    with pytest.raises(ValueError, match="expected a polygon with an area"):
        make_instance(5, [[0, 0, 4, 0, 8, 0]])
    with pytest.raises(ValueError, match=r"expected polygons .* found \{'counts'"):
        make_instance(5, {"counts": [], "size": [4, 4]})
    with pytest.raises(ValueError, match=r"expected ARCADE category ids from 0 to 25, found \[26\]"):
        label_map_to_instances(np.full((4, 4), 26))
    with pytest.raises(ValueError, match=r"expected a label map \(H, W\), found \(1, 4, 4\)"):
        label_map_to_instances(np.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match="lesion 0: expected a finite box_xyxy with x0 < x1"):
        lesions_to_instances([{"box_xyxy": [4, 4, 4, 9]}])
    content = instances_to_coco({"a.png": [make_instance(5, [ring])]})
    content["annotations"][0]["image_id"] = 7
    with pytest.raises(ValueError, match="annotation 0: expected the id of a listed image, found 7"):
        instances_from_coco(content)


def test_instances_of_coco_have_categories_by_name_and_are_joined_by_file_name():
    ring = [0, 0, 4, 0, 4, 4]
    content = {
        "images": [{"id": "1", "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}],
        "categories": [{"id": 3, "name": "10a"}],
        "annotations": [{"image_id": image, "category_id": 3, "segmentation": [ring]} for image in (1, 2)],
    }
    found = instances_from_coco(content)
    assert [instance["category_id"] for instance in found["a.png"]] == [12, 12]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": {}}, "images: expected a list of objects"),
        ({"images": [{"id": 1}]}, "image 0: expected a file_name"),
        ({"annotations": None}, "annotations: expected a list of objects"),
        ({"annotations": [{"image_id": []}]}, "annotation 0: image_id: expected an id"),
        ({"annotations": [{"image_id": 1, "category_id": 99}]}, "expected an ARCADE category, found 99"),
        ({"annotations": [{"image_id": 1, "category_id": 5}]}, "expected polygons"),
    ],
)
def test_content_that_is_no_coco_is_refused(changes, message):
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], **changes}
    with pytest.raises(ValueError, match=message):
        instances_from_coco(content)
