"""Stage 3 end to end on small pictures: on frozen stages 1 and 2, which stay what they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigWorkflow, verify_metadata
from monai.utils import set_determinism
from safetensors import safe_open

from monai_lora_sam.adapters import AdapterStack, read_card
from monai_lora_sam.data import read_datalist, write_datalist
from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import AdaptedSegmenter
from monai_lora_sam.stages import load_stage, new_stage, save_stage
from monai_lora_sam.workflows import bundle_folder, run_bundle

BUNDLE = "stenosis_detection"
CONFIGS = bundle_folder(BUNDLE) / "configs"
SCORES = {"val_f1", "val_f1_distance", "val_average_precision", "val_percent_error", "val_mld_error"}
IMAGE = torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(3))
VIEW = torch.tensor([[30.0, -20.0], [float("nan"), float("nan")]])
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    set_determinism(None)


@pytest.fixture(scope="module")
def narrowed_pictures(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give each vessel a lesion in the picture's middle; every second one has no %DS and MLD, as in ARCADE."""
    folder = tmp_path_factory.mktemp("narrowed")
    content = read_datalist(pictures / "datalist.json")
    for split in ("training", "validation"):
        for index, entry in enumerate(content[split]):
            box = [18.0, 16.0, 44.0, 40.0]
            known = {"centre_xy": [30.0, 29.0], "percent_diameter_stenosis": 55.0, "mld_px": 2.5}
            lesion = {"category": "stenosis", "box_xyxy": box}
            entry["lesions"] = [lesion | known] if index % 2 == 0 else [lesion | dict.fromkeys(known)]
    content["training"][-1]["lesions"] = []
    write_datalist(
        folder / "datalist.json",
        name="narrowed lines",
        task="stenosis",
        class_names=["background", "stenosis"],
        splits={split: content[split] for split in ("training", "validation")},
    )
    return folder


def stages(folder: Path, base: Path, seed: int = 0) -> dict[str, str]:
    """Write a stage 1 and a stage 2 on it with random adapters and heads."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder = build_encoder("tiny", base, 56)
        made: dict[str, str] = {}
        for name, maps in (("vessels", 1), ("segments", 26)):
            below = list(made.values())
            stage = new_stage(
                encoder if not below else build_encoder("tiny", base, 56),
                parents=below,
                head="view_segmentation",
                out_channels=maps,
                name=name,
                width=8,
                lora={"r": 2},
                mixed_precision=False,
            )
            for key, parameter in stage.stack.named_parameters():
                if "lora_B" in key and parameter.requires_grad:
                    torch.nn.init.normal_(parameter, std=0.05)
            classes = [str(index) for index in range(maps)]
            made[name] = str(save_stage(stage, folder / name, task=name, class_names=classes))
    return made


@pytest.fixture(scope="module")
def below(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return stages(tmp_path_factory.mktemp("below"), base)


@pytest.fixture(scope="module")
def options(settings: Settings, narrowed_pictures: Path, below: dict[str, str]) -> Settings:
    def make(output: Path, **more: Any) -> dict[str, Any]:
        made = settings(output, dataset_dir=str(narrowed_pictures), **below)
        del made["lora#r"]
        return made | more

    return make


@pytest.fixture(scope="module")
def trained(one_thread: None, options: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("stenosis")
    run_bundle(BUNDLE, overrides=options(output, epochs=3))
    return output


def load_all(
    folder: Path, below: dict[str, str], base: Path
) -> tuple[AdaptedSegmenter, AdaptedSegmenter, Any]:
    stack = AdapterStack(build_encoder("tiny", base, 56))
    first = load_stage(below["vessels"], stack, mixed_precision=False)
    second = load_stage(below["segments"], stack, mixed_precision=False)
    return (
        first,
        second,
        load_stage(folder, reads={"vessels": first, "segments": second}, mixed_precision=False),
    )


def files(folder: str | Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def messages(error: BaseException | None) -> list[str]:
    chain = []
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or error.__context__
    return chain


def test_outputs_and_card(trained: Path, below: dict[str, str]):
    names = {path.name for path in trained.iterdir()}
    assert names == {"best", "last", "history.jsonl", "training_state.pt", "tensorboard"}
    history = read_history(trained / "history.jsonl")
    assert len(history) == 3 and all(line.keys() >= SCORES for line in history)
    assert history[-1]["loss"] < history[0]["loss"]
    card = read_card(trained / "best")
    assert (card["task"], card["class_names"], card["strategy"]) == ("stenosis", ["stenosis"], "frozen")
    assert card["metrics"].keys() >= SCORES and card["score_threshold"] == 0.3
    expected = [{"name": name, "fingerprint": read_card(below[name])["fingerprint"]} for name in below]
    assert card["parents"] == expected
    with safe_open(trained / "best" / "head.safetensors", "pt") as tensors:
        assert set(card["files"]) == {"head.safetensors"} and len(list(tensors.keys())) > 10
    state = torch.load(trained / "training_state.pt", weights_only=True)["network"]
    assert state and all(name.startswith("head.") for name in state)


def test_stages_1_and_2_are_bit_equal_before_and_after(
    options: Settings, below: dict[str, str], base: Path, trained: Path, tmp_path: Path
):
    before = {name: files(folder) for name, folder in below.items()}
    run = run_bundle(BUNDLE, overrides=options(tmp_path, epochs=1))
    network = run.parser.get_parsed_content("network_def")
    for order in (
        torch.contiguous_format,
        torch.channels_last,
    ):  # sums come in another order; training has the latter
        stack = AdapterStack(build_encoder("tiny", base, 56))
        alone = load_stage(below["vessels"], stack, mixed_precision=False).to(memory_format=order)
        with torch.no_grad():
            vessels = alone(IMAGE, view=VIEW)
            both = load_stage(below["segments"], stack, mixed_precision=False).to(memory_format=order)
            segments = both(IMAGE, view=VIEW)
            first, second, detector = load_all(trained / "best", below, base)
            detector.to(memory_format=order)(IMAGE, view=VIEW)
            assert torch.equal(first(IMAGE, view=VIEW), vessels) and torch.equal(
                second(IMAGE, view=VIEW), segments
            )
    with torch.no_grad():
        assert torch.equal(network.vessels(IMAGE, view=VIEW), vessels)
        assert torch.equal(network.segments(IMAGE, view=VIEW), segments)
    assert {name: files(folder) for name, folder in below.items()} == before


def test_the_saved_detector_is_the_trained_one(
    options: Settings, below: dict[str, str], base: Path, tmp_path: Path
):
    run = run_bundle(BUNDLE, overrides=options(tmp_path, epochs=1))
    network = run.parser.get_parsed_content("network_def").eval()
    loaded = load_all(tmp_path / "last", below, base)[2].to(memory_format=torch.channels_last)
    with torch.no_grad():
        found, expected = loaded(IMAGE, view=VIEW), network(IMAGE, view=VIEW)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_full_moves_base_and_adapters_at_their_own_rate(
    options: Settings, below: dict[str, str], base: Path, tmp_path: Path
):
    more = {"strategy": "full", "epochs": 1, "learning_rate": 0.01, "base_learning_rate": 0.0001}
    run = run_bundle(BUNDLE, overrides=options(tmp_path, **more))
    network = run.parser.get_parsed_content("network_def")
    groups = run.parser.get_parsed_content("optimizer").param_groups
    assert [group["initial_lr"] for group in groups] == [0.01, 0.0001]
    assert {p for group in groups[1:] for p in group["params"]} == {
        p for p in network.stack.parameters() if p.requires_grad
    }
    assert read_card(tmp_path / "last")["strategy"] == "full"
    alone = load_stage(below["vessels"], pretrained=base, mixed_precision=False)
    first = load_all(tmp_path / "last", below, base)[0]
    with torch.no_grad():
        assert not torch.equal(first(IMAGE, view=VIEW), alone(IMAGE, view=VIEW)), (
            "what full moves stage 1 forgets"
        )


def test_full_with_gradient_checkpointing_is_refused(options: Settings, tmp_path: Path):
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=options(tmp_path, strategy="full", gradient_checkpointing=True))
    assert any("expected gradient_checkpointing off, found it on" in text for text in messages(caught.value))


def test_going_on_from_a_trained_one(trained: Path, options: Settings, tmp_path: Path):
    run = run_bundle(
        BUNDLE,
        overrides=options(
            tmp_path, start_from=str(trained / "best"), head_width=None, epochs=1, learning_rate=0.0
        ),
    )
    assert run.parser.get_parsed_content("network_def").head.width == 8
    assert files(tmp_path / "last")["head.safetensors"] == files(trained / "best")["head.safetensors"]


def test_another_version_of_a_stage_below_is_refused(
    trained: Path, below: dict[str, str], base: Path, tmp_path: Path
):
    other = stages(tmp_path, base, seed=5)
    with pytest.raises(ValueError, match="expected its parent 'vessels' with fingerprint"):
        load_all(trained / "best", below | {"vessels": other["vessels"]}, base)
    with pytest.raises(ValueError, match=r"reads the stage 'vessels' with the head .*another version"):
        load_all(trained / "best", other, base)


def test_evaluation_gives_the_scores_that_training_noted(trained: Path, options: Settings, tmp_path: Path):
    run = run_bundle(BUNDLE, ["train.yaml", "evaluate.yaml"], options(trained, scores_dir=str(tmp_path)))
    found = run.parser.get_parsed_content("validate#evaluator").state.metrics
    noted = read_card(trained / "best")["metrics"]
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float("nan") if value is None else value for name, value in noted.items()},
        abs=1e-6,
        nan_ok=True,
    )
    assert (tmp_path / "metrics.csv").is_file()


def test_inference_writes_the_pipelines_report(
    trained: Path, below: dict[str, str], pictures: Path, base: Path, tmp_path: Path
):
    overrides = {
        "dataset_dir": str(pictures / "4.png"),
        "output_dir": str(tmp_path),
        "stage_folder": str(trained / "best"),
        "pretrained": str(base),
        "graph": False,
        "device": "cpu",
    }
    run_bundle(BUNDLE, "inference.yaml", overrides | below)
    report = json.loads((tmp_path / "4" / "report.json").read_text())
    assert isinstance(report["lesions"], list)


def test_it_goes_on_where_it_stopped(options: Settings, tmp_path: Path):
    """Two epochs, then a third by the same folder: the losses of a run that was left alone."""
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    run_bundle(BUNDLE, overrides=options(straight, epochs=2, warm_up=0.0))
    state = torch.load(straight / "training_state.pt", weights_only=True)
    assert state["trainer"]["iteration"] == 4 and state.keys() >= {"network", "optimizer", "stage_saver"}

    workflow = ConfigWorkflow(
        config_file=str(CONFIGS / "train.yaml"),
        logging_file=False,
        workflow_type="train",
        **options(parts, epochs=2, warm_up=0.0),
    )
    workflow.initialize()
    trainer = workflow.parser.get_parsed_content("train#trainer")

    def kill(engine: Any) -> None:
        if engine.state.epoch == 2:
            raise KeyError("killed")

    trainer.add_event_handler(Events.ITERATION_COMPLETED, kill)
    with pytest.raises(RuntimeError, match="Failed to evaluate"):
        workflow.run()
    assert [line["epoch"] for line in read_history(parts / "history.jsonl")] == [1]
    run_bundle(BUNDLE, overrides=options(parts, epochs=2, warm_up=0.0))
    keep = ("epoch", "loss", "val_f1", "val_average_precision")
    first, second = (
        [{key: line[key] for key in keep} for line in read_history(folder / "history.jsonl")]
        for folder in (straight, parts)
    )
    assert first == second
    assert files(straight / "last")["head.safetensors"] == files(parts / "last")["head.safetensors"]


def test_two_processes(options: Settings, tmp_path: Path):
    configs = [str(CONFIGS / name) for name in ("train.yaml", "multi_gpu_train.yaml")]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai.bundle", "run", f"--config_file={configs}"]
    command += [f"--{key}={value}" for key, value in options(tmp_path, batch_size=1, epochs=1).items()]
    path = os.pathsep.join(filter(None, [str(CONFIGS.parents[2]), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (line,) = read_history(tmp_path / "history.jsonl")
    assert line.keys() >= SCORES
    assert read_card(tmp_path / "best")["task"] == "stenosis"


@pytest.mark.parametrize(
    ("lesion", "message"),
    [
        ({"box_xyxy": [20, 20, 20, 30]}, r"0.png: lesions\[0\]: expected a box of a positive area"),
        ({"box_xyxy": [120, 20, 130, 30]}, r"0.png: lesions\[0\]: expected a box in the image"),
        ({"box_xyxy": [20, 20, None, 30]}, r"0.png: lesions\[0\]: box_xyxy: expected 4 finite numbers"),
        (None, "0.png: lesions: expected a list of lesions"),
    ],
)
def test_bad_lesions_are_named(
    lesion: dict | None, message: str, options: Settings, narrowed_pictures: Path, tmp_path: Path
):
    content = read_datalist(narrowed_pictures / "datalist.json")
    if lesion is None:
        del content["training"][0]["lesions"]
    else:
        content["training"][0]["lesions"] = [lesion]
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=options(tmp_path / "out", dataset_dir=str(tmp_path)))
    import re

    assert any(re.search(message, text) for text in messages(caught.value)), messages(caught.value)


# ---- MONAI's own checks ----------------------------------------------------------------------------------------


def test_metadata_fits_its_schema(tmp_path: Path):
    schema = tmp_path / "schema.json"
    schema.write_bytes((Path(__file__).parent / "metadata_schema.json").read_bytes())
    verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=schema)


def test_network_takes_and_gives_what_the_metadata_says(trained: Path, below: dict[str, str], base: Path):
    """MONAI's verify_net_in_out takes networks that give one tensor; this one's heatmap is compared here."""
    said = json.loads((CONFIGS / "metadata.json").read_text())["network_data_format"]
    with torch.no_grad():
        output = load_all(trained / "best", below, base)[2](IMAGE)
    assert said["inputs"]["image"]["num_channels"] == IMAGE.shape[1]
    assert said["outputs"]["pred"]["num_channels"] == output["heatmap"].shape[1]
    assert output["heatmap"].dtype == getattr(torch, said["outputs"]["pred"]["dtype"])


def test_monais_properties_of_a_training_bundle(options: Settings, tmp_path: Path):
    workflow = ConfigWorkflow(
        config_file=str(CONFIGS / "train.yaml"),
        logging_file=False,
        workflow_type="train",
        **options(tmp_path, cache_rate=0.0),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert workflow.max_epochs == 2 and len(workflow.train_dataset) == 4  # read through MONAI's names


def test_layout_is_that_of_the_model_zoo():
    assert {path.name for path in CONFIGS.iterdir()} == {
        "metadata.json",
        "logging.conf",
        "train.yaml",
        "evaluate.yaml",
        "inference.yaml",
        "multi_gpu_train.yaml",
    }
    assert os.listdir(CONFIGS.parent / "docs") == ["README.md"]
