"""The written data set, read back by other means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_lora_sam.coronary.phantom import PhantomConfig, dataset, generate_phantom, prepare_phantoms

CONFIG = PhantomConfig(image_size=128, lesion_probability=1.0)


def test_the_files_hold_the_phantoms(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    path = prepare_phantoms(
        tmp_path, 4, seed=0, validation_fraction=0.25, progress=lambda *c: calls.append(c), config=CONFIG
    )
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    datalist = json.loads(path.read_text())
    assert (len(datalist["training"]), len(datalist["validation"]), datalist["test"]) == (3, 1, [])
    entries = datalist["training"] + datalist["validation"]
    assert len({entry["case_id"] for entry in entries}) == 4
    phantom = generate_phantom(1, CONFIG)
    entry = entries[1]

    def read(key: str) -> np.ndarray:
        return np.asarray(Image.open(tmp_path / entry[key]))

    np.testing.assert_array_equal(read("image"), phantom.image)
    np.testing.assert_array_equal(read("label"), phantom.vessel_mask.astype(np.uint8))
    np.testing.assert_array_equal(read("segments"), phantom.segment_mask)
    assert entry["view"] == list(phantom.view)
    assert entry["pixel_spacing_mm"] == phantom.pixel_spacing_mm
    assert entry["modality"] == "XA"
    truth = json.loads((tmp_path / entry["truth"]).read_text())
    assert [line["segment"] for line in truth["centrelines"]] == [
        x.segment.value for x in phantom.centrelines
    ]
    np.testing.assert_allclose(
        truth["centrelines"][0]["points_xy_px"][-1], phantom.centrelines[0].points_rc_px[-1, ::-1], atol=1e-3
    )
    lesion, written = phantom.lesions[0], truth["lesions"][0]
    assert written["percent_diameter_stenosis"] == lesion.percent_diameter_stenosis
    assert written["centre_xy_px"] == [lesion.centre_rc_px[1], lesion.centre_rc_px[0]]


def test_a_broken_off_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def drawing(seed: int, config: PhantomConfig) -> object:
        if len(drawn) == 2:
            raise SystemExit(9)
        drawn.append(seed)
        return generate_phantom(seed, config)

    monkeypatch.setattr(dataset, "generate_phantom", drawing)
    with pytest.raises(SystemExit):
        prepare_phantoms(tmp_path, 3, config=CONFIG)
    assert not (tmp_path / "datalist.json").exists()
    drawn.clear()
    broken = prepare_phantoms(tmp_path, 3, config=CONFIG)
    assert drawn == [2]
    monkeypatch.undo()
    whole = prepare_phantoms(tmp_path / "whole", 3, config=CONFIG)
    assert broken.read_text() == whole.read_text()
    assert not list(tmp_path.rglob("*.tmp"))


def test_another_configuration_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    prepare_phantoms(tmp_path, 1, config=CONFIG)
    with pytest.raises(ValueError, match=r"phantom_000000000.json: expected a phantom of"):
        prepare_phantoms(tmp_path, 1, config=PhantomConfig(image_size=64))


@pytest.mark.parametrize(
    ("count", "fraction", "message"), [(0, 0.1, "count of at least 1"), (2, 1.0, "validation_fraction")]
)
def test_bad_numbers_are_refused(tmp_path: Path, count: int, fraction: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_phantoms(tmp_path, count, validation_fraction=fraction)


def test_phantoms_of_a_version_without_implants_are_those_of_the_same_configuration(tmp_path: Path) -> None:
    path = prepare_phantoms(tmp_path, 1, config=CONFIG)
    truth = next((tmp_path / "truth").iterdir())
    content = json.loads(truth.read_text())
    content["config"] = {key: value for key, value in content["config"].items() if key != "implants"}
    truth.write_text(json.dumps(content))
    before = path.read_text()
    assert prepare_phantoms(tmp_path, 1, config=CONFIG).read_text() == before
