"""Stage 2 end to end on small pictures: on a frozen stage 1, which stays what it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from monai.utils import set_determinism
from PIL import Image

from monai_lora_sam.adapters import AdapterStack, read_card
from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.data import write_datalist
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.stages import load_stage
from monai_lora_sam.workflows import bundle_folder, run_bundle

BUNDLE = "segment_classification"
CONFIGS = bundle_folder(BUNDLE) / "configs"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    set_determinism(None)


@pytest.fixture(scope="module")
def named_pictures(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Name the vessel of each picture: 6 on its left, 7 on its right."""
    folder = tmp_path_factory.mktemp("named")
    content = json.loads((pictures / "datalist.json").read_text())
    for split in ("training", "validation"):
        for entry in content[split]:
            mask = np.asarray(Image.open(pictures / entry["label"]))
            left = np.arange(mask.shape[1]) < mask.shape[1] / 2
            label = folder / Path(entry["label"]).name
            Image.fromarray((mask * np.where(left, 6, 7)).astype(np.uint8)).save(label)
            entry |= {"image": str(pictures / entry["image"]), "label": str(label)}
    write_datalist(
        folder / "datalist.json",
        name="named lines",
        task="segments",
        class_names=ARCADE_CLASS_NAMES,
        splits={split: content[split] for split in ("training", "validation")},
    )
    return folder


@pytest.fixture(scope="module")
def vessels(one_thread: None, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train stage 1 for an epoch through its own bundle; return the stage's folder."""
    output = tmp_path_factory.mktemp("vessels")
    run_bundle("vessel_segmentation", overrides=settings(output, epochs=1))
    return output / "best"


@pytest.fixture(scope="module")
def options(settings: Settings, named_pictures: Path, vessels: Path) -> Settings:
    def make(output: Path, **more: Any) -> dict[str, Any]:
        return settings(output, dataset_dir=str(named_pictures), vessels=str(vessels)) | more

    return make


@pytest.fixture(scope="module")
def trained(options: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("segments")
    run_bundle(BUNDLE, overrides=options(output, epochs=3))
    return output


def load_both(vessels: Path, segments: Path, base: Path):
    stack = AdapterStack(build_encoder("tiny", base, 56))
    first = load_stage(vessels, stack, mixed_precision=False)
    return first, load_stage(segments, stack, mixed_precision=False)


def test_card_says_what_it_is_and_what_it_stands_on(trained: Path, vessels: Path):
    card = read_card(trained / "best")
    assert (card["task"], card["class_names"]) == ("segments", ARCADE_CLASS_NAMES)
    assert card["adapters"] == ["vessels", "segments"]
    assert card["parents"] == [{"name": "vessels", "fingerprint": read_card(vessels)["fingerprint"]}]
    scores = {"val_macro_f1", "val_accuracy", "val_set_f1"}
    assert scores <= card["metrics"].keys()
    history = read_history(trained / "history.jsonl")
    assert all(scores <= line.keys() for line in history)
    assert history[-1]["loss"] < history[0]["loss"]


def test_stage_1_is_bit_equal_with_stage_2_on_its_stack(trained: Path, vessels: Path, base: Path):
    image, view = torch.randn(2, 3, 56, 56), torch.tensor([[30.0, -20.0], [float("nan")] * 2])
    alone = load_stage(vessels, pretrained=base, mixed_precision=False)
    with torch.no_grad():
        expected = alone(image, view=view)
        first, second = load_both(vessels, trained / "best", base)
        named = second(image, view=view)
        assert torch.equal(first(image, view=view), expected)
        assert torch.equal(second(image, view=view), named), (
            "and switching back does not change stage 2 either"
        )
        assert torch.equal(second(image, view=view, features=second.features(image)), named)
    assert named.shape == (2, len(ARCADE_CLASS_NAMES), 56, 56)


def test_training_does_not_touch_the_folder_of_stage_1(vessels: Path, options: Settings, tmp_path: Path):
    before = {path.name: path.read_bytes() for path in vessels.iterdir()}
    run_bundle(BUNDLE, overrides=options(tmp_path, epochs=1))
    assert {path.name: path.read_bytes() for path in vessels.iterdir()} == before


@pytest.mark.parametrize("strategy", ["frozen", "last_n", "full"])
def test_each_strategy_by_one_key(strategy: str, options: Settings, tmp_path: Path):
    run = run_bundle(BUNDLE, overrides=options(tmp_path, strategy=strategy, epochs=1))
    network = run.parser.get_parsed_content("network_def")
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    moved = {name for name in trained if name.startswith("stack.")}
    assert bool(moved) == (strategy != "frozen")
    assert any("lora_" in name for name in moved) == (strategy == "full"), "full moves the adapters as well"
    assert read_card(tmp_path / "best")["strategy"] == strategy


def test_another_version_of_stage_1_is_refused(trained: Path, settings: Settings, base: Path, tmp_path: Path):
    run_bundle("vessel_segmentation", overrides=settings(tmp_path, epochs=1, seed=5))
    with pytest.raises(
        ValueError, match=r"expected its parent 'vessels' with fingerprint .*found 'vessels' with"
    ):
        load_both(tmp_path / "best", trained / "best", base)


def test_stage_2_without_stage_1_is_refused(trained: Path, base: Path):
    with pytest.raises(ValueError, match=r"expected its parent 'vessels'.*load the parents first"):
        load_stage(trained / "best", pretrained=base)


def test_evaluation_gives_the_scores_that_training_noted(trained: Path, options: Settings, tmp_path: Path):
    run = run_bundle(BUNDLE, ["train.yaml", "evaluate.yaml"], options(trained, scores_dir=str(tmp_path)))
    found = run.parser.get_parsed_content("validate#evaluator").state.metrics
    noted = read_card(trained / "best")["metrics"]
    assert {name: float(value) for name, value in found.items()} == pytest.approx(noted, abs=1e-6)
    assert (tmp_path / "metrics.csv").is_file()


def test_inference_names_segments(trained: Path, vessels: Path, pictures: Path, base: Path, tmp_path: Path):
    overrides = {
        "dataset_dir": str(pictures / "4.png"),
        "output_dir": str(tmp_path),
        "vessels": str(vessels),
        "stage_folder": str(trained / "best"),
        "pretrained": str(base),
        "device": "cpu",
    }
    run_bundle(BUNDLE, "inference.yaml", overrides)
    names = {path.name for path in (tmp_path / "4").iterdir()}
    assert {"vessels.png", "segments.png", "report.json", "report.html"} <= names
    named = np.asarray(Image.open(tmp_path / "4" / "segments.png"))
    assert named.shape == (70, 60) and named.max() < len(ARCADE_CLASS_NAMES)


def test_vessel_masks_are_no_segment_maps(options: Settings, pictures: Path, tmp_path: Path):
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=options(tmp_path, dataset_dir=str(pictures)))
    chain, error = [], caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or error.__context__
    assert any("expected a data set for the task 'segments'" in text for text in chain)


# ---- MONAI's own checks ----------------------------------------------------------------------------------------


def test_metadata_fits_its_schema(tmp_path: Path):
    schema = tmp_path / "schema.json"
    schema.write_bytes((Path(__file__).parent / "metadata_schema.json").read_bytes())
    verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=schema)


def test_network_takes_and_gives_what_the_metadata_says(base: Path, vessels: Path, named_pictures: Path):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=str(CONFIGS / "train.yaml"),
        device="cpu",
        n=4,
        pretrained=str(base),
        vessels=str(vessels),
        image_size=56,
    )


def test_monais_properties_of_a_training_bundle(options: Settings, tmp_path: Path):
    workflow = ConfigWorkflow(
        config_file=str(CONFIGS / "train.yaml"),
        logging_file=False,
        workflow_type="train",
        **options(tmp_path, cache_rate=0.0),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert workflow.max_epochs == 2 and len(workflow.train_dataset) == 4
