"""An adaptation end to end on small pictures: files, resume, folds, other forms of data, bad input."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from monai_lora_sam.adaptation import Adaptation, AdaptationRequest, adapt, make_plan
from monai_lora_sam.adaptation import plan as module
from monai_lora_sam.adapters import read_card
from monai_lora_sam.data import DatasetError
from monai_lora_sam.prompting import load_promptable

Make = Callable[..., AdaptationRequest]


@pytest.fixture
def request_for(small_request: Make, tmp_path: Path) -> Make:
    def make(images: Path, masks: Path | None, **more: Any) -> AdaptationRequest:
        return small_request(tmp_path / "out", images, masks, **more)

    return make


@pytest.fixture(scope="module")
def done(
    small_request: Make, discs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[AdaptationRequest, Adaptation]:
    """Adapt once; return the request as well."""
    request = small_request(
        tmp_path_factory.mktemp("adapted") / "out", *discs, keys={"rounds": 1, "epochs": 2}
    )
    return request, adapt(request)


def test_it_writes_adapter_report_and_command_and_goes_on(
    done: tuple[AdaptationRequest, Adaptation], promptable: Path
):
    request, adapted = done
    out = request.out
    card = read_card(adapted.adapter)
    assert card["name"] == "discs" and card["class_names"] == ["foreground"]
    network = load_promptable(
        weights=promptable, adapter=out, device="cpu"
    )  # the folder stands for its adapter
    assert network.adapters == ("discs",)
    result = json.loads((out / "result.json").read_text())
    assert [item["mode"] for item in result["comparison"]] == [
        "box",
        "box shifted 20 px",
        "1 point",
        "5 points",
    ]
    for item in result["comparison"]:
        assert item["objects"] == 2 and item["gain"] == pytest.approx(item["after"] - item["before"])
    page = (out / "report.html").read_text()
    assert all(word in page for word in ("best:", "worst:", "training loss", "Before and after"))
    assert f"<pre><code>{(out / 'command.txt').read_text().strip()}" in page  # as it is, to be copied
    assert "2 objects are held out: these means are rough" in page
    assert not re.search(r'(src|href)="http', page)
    command = (out / "command.txt").read_text()
    assert re.search(r"^monai-lora-sam segment IMAGE --box \S+ --adapter \S+/out --weights", command)

    files = [
        *(out / "adapter").iterdir(),
        out / "training" / "history.jsonl",
        *(out / "scores").rglob("*.csv"),
    ]
    before = {path: path.read_bytes() for path in files}
    adapt(request)
    assert {path: path.read_bytes() for path in files} == before


def test_folds_hold_each_case_out_once(request_for: Make, draw_discs: Callable, tmp_path: Path):
    found = adapt(request_for(*draw_discs(tmp_path / "four", 4), folds=2))
    assert [item["objects"] for item in found.cross_validation] == [4] * 4
    assert all(len(item["folds"]) == 2 for item in found.cross_validation)
    assert "Cross-validation" in found.page.read_text()


def test_few_shots_and_volumes(request_for: Make, tmp_path: Path):
    rng = np.random.default_rng(0)
    for index in range(3):
        volume = rng.normal(100, 10, (48, 40, 3)).astype(np.float32)
        mask = np.zeros(volume.shape, np.uint8)
        mask[10:30, 12:28, :2] = 1
        volume[mask > 0] += 90
        for name, array in (("volumes", volume), ("labels", mask)):
            (tmp_path / name).mkdir(exist_ok=True)
            nibabel.save(
                nibabel.Nifti1Image(array, np.diag([1, 1, 3, 1])), tmp_path / name / f"{index}.nii.gz"
            )
    request = request_for(
        tmp_path / "volumes",
        tmp_path / "labels",
        class_names=("kidney",),
        modality="MR",
        keys={"few_shot": 1},
    )
    found = adapt(request)
    assert found.facts.objects == {"kidney": 6} and found.facts.cases == 3
    card = read_card(found.adapter)
    assert (card["class_names"], card["modality"]) == (["kidney"], "MR")


def test_all_problems_of_the_data_are_listed_together(
    request_for: Make, draw_discs: Callable, tmp_path: Path
):
    images, masks = draw_discs(tmp_path / "bad", 7)
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(masks / "0.png")
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(masks / "1.png")
    Image.fromarray(np.full((70, 56), 7, np.uint8)).save(masks / "2.png")
    (images / "3.png").write_bytes(b"no image")
    (masks / "4.png").unlink()
    with pytest.raises(DatasetError) as caught:
        adapt(request_for(images, masks))
    assert len(caught.value.errors) == 5
    for message in ("expected (70, 56)", "only background", "found [7]", "a mask of the same name"):
        assert message in str(caught.value)


def test_a_datalist_is_checked_as_well(request_for: Make, draw_discs: Callable, tmp_path: Path):
    images, masks = draw_discs(tmp_path / "list", 4)
    entries = [{"image": str(images / f"{n}.png"), "label": str(masks / f"{n}.png")} for n in range(4)]
    Image.fromarray(np.zeros((70, 56), np.uint8)).save(masks / "0.png")
    speck = np.zeros((48, 64), np.uint8)
    speck[4, 4] = 255
    Image.fromarray(speck).save(masks / "1.png")
    del entries[2]["label"]
    content = {"class_names": ["background", "disc"], "training": entries}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(DatasetError) as caught:
        adapt(request_for(tmp_path / "datalist.json", None))
    for message in ("found only background", "found 1 pixels", "expected a label, found none"):
        assert message in str(caught.value)


def test_nan_in_a_volume_is_named(request_for: Make, tmp_path: Path):
    volume = np.ones((20, 20, 2), np.float32)
    volume[3, 3, 0] = np.nan
    for name, array in (("volumes", volume), ("labels", np.ones((20, 20, 2), np.uint8))):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / name / "a.nii.gz")
    with pytest.raises(DatasetError, match=r"a\.nii\.gz"):
        adapt(request_for(tmp_path / "volumes", tmp_path / "labels"))


def test_one_case_cannot_be_split(request_for: Make, draw_discs: Callable, tmp_path: Path):
    images, masks = draw_discs(tmp_path / "one", 1)
    with pytest.raises(ValueError, match=r"expected at least 2 cases .*, found 1"):
        adapt(request_for(images, masks))
    for folder in (images, masks):  # copies of one picture are one case
        (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    with pytest.raises(ValueError, match=r"expected at least 2 cases .*, found 1"):
        adapt(request_for(images, masks))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "a/b"}, "name: expected letters, digits"),
        ({"minutes": 0}, "minutes: expected more than 0, found 0"),
        ({"folds": 1}, "folds: expected 2 or more, found 1"),
        ({"keys": {"epoch": 3}}, "nearest: --epochs"),
        ({"keys": {"learning_rate": 5}}, "learning_rate: expected number above 0 to 1, found 5"),
        ({"keys": {"output_dir": "x"}}, "--output_dir: expected a key that is not set by"),
    ],
)
def test_wrong_requests_are_refused_at_once(
    request_for: Make, discs: tuple[Path, Path], more: dict, message: str
):
    with pytest.raises(ValueError, match=re.escape(message)):
        request_for(*discs, **more)


def test_other_settings_in_the_same_folder_are_refused(done: tuple[AdaptationRequest, Adaptation]):
    request, _ = done
    with pytest.raises(ValueError, match="learning_rate"):
        adapt(replace(request, keys={**request.keys, "learning_rate": 0.005}))


def test_a_plan_fits_the_time(promptable: Path, monkeypatch: pytest.MonkeyPatch):
    cpu, settings = torch.device("cpu"), {"encoder_name": "mini", "pretrained": str(promptable)}
    sides: list[int | None] = []

    def measure(settings: Any, side: int | None, batch: int, device: Any, long_s: float) -> tuple[int, float]:
        sides.append(side)
        return side or 1024, 1.0 * ((side or 1024) / 512) ** 2

    monkeypatch.setattr(module, "_measure", measure)
    plan = make_plan(settings, 16, 4, 10, cpu)
    assert sides == [None] and plan.batch_size == 2 and plan.limit is None
    passes, scores = plan.epochs * 8 * plan.step_s, (10 + 2) * 4 * plan.step_s / 2 / 3
    assert 0.7 * 600 < passes + scores < 0.8 * 600
    assert plan.epochs // plan.val_interval >= 10
    sides.clear()
    plan = make_plan(settings, 1000, 4, 0.8, cpu)
    assert sides == [None, 512, 256] and plan.image_size == 256
    assert plan.epochs == 1 and plan.limit is not None and plan.limit < 1000
    assert plan.limit / 2 * plan.step_s < 0.8 * 48
    fixed = make_plan({**settings, "epochs": 3, "image_size": 512, "batch_size": 2}, 16, 4, 1, cpu)
    assert (fixed.epochs, fixed.image_size, fixed.batch_size, fixed.val_interval) == (3, 512, 2, 1)
    assert make_plan(settings, 2, 1, 100000, cpu).epochs == 200

    def too_large(settings: Any, side: int | None, batch: int, *_: Any) -> tuple[int, float]:
        return 256, float("inf") if batch > 1 else 0.5

    monkeypatch.setattr(module, "_measure", too_large)
    assert make_plan(settings, 16, 4, 1, cpu).batch_size == 1
    monkeypatch.setattr(module, "_measure", lambda *_: (256, float("inf")))
    with pytest.raises(MemoryError, match="choose a smaller --image-size"):
        make_plan(settings, 16, 4, 1, cpu)
    with pytest.raises(ValueError, match="expected images and minutes above 0"):
        make_plan(settings, 0, 4, 1, cpu)


def test_a_step_is_measured(promptable: Path):
    plan = make_plan(
        {"encoder_name": "mini", "pretrained": str(promptable), "image_size": 64},
        8,
        2,
        1,
        torch.device("cpu"),
    )
    assert 0 < plan.step_s < 60 and plan.image_size == 64
