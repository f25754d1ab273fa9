"""The bundle end to end on small pictures: train, stop, go on, evaluate, infer; MONAI's own checks."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from monai.utils import set_determinism
from PIL import Image
from safetensors import safe_open

from monai_lora_sam.adapters import read_card
from monai_lora_sam.handlers import read_history
from monai_lora_sam.stages import load_stage
from monai_lora_sam.workflows import bundle_folder, run_bundle

BUNDLE = "vessel_segmentation"
CONFIGS = bundle_folder(BUNDLE) / "configs"
STRATEGIES = ("lora", "frozen", "last_n", "full")
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Add up in one order, as the subprocesses do, and leave the generators unseeded for other tests."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    set_determinism(None)


@pytest.fixture(scope="module")
def trained(one_thread: None, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train two epochs with LoRA; return the output folder."""
    output = tmp_path_factory.mktemp("trained")
    run_bundle(BUNDLE, overrides=settings(output))
    return output


def monai_bundle_run(
    files: Sequence[str], overrides: Mapping[str, Any], launcher: Sequence[str] = ()
) -> list[str]:
    """Return the command that a user types: ``python -m monai.bundle run --config_file … --key value …``."""
    configs = [str(CONFIGS / name) for name in files]
    arguments = [f"--config_file={configs if len(configs) > 1 else configs[0]}"]
    arguments += [f"--{key}={value}" for key, value in overrides.items()]
    return [sys.executable, "-m", *launcher, "monai.bundle", "run", *arguments]


def environment() -> dict[str, str]:
    """Return this process's environment with one thread, so that sums come in one order everywhere."""
    path = os.pathsep.join(filter(None, [str(CONFIGS.parents[2]), os.environ.get("PYTHONPATH")]))
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def history(output: Path) -> list[dict]:
    lines = read_history(output / "history.jsonl")
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def tensor_names(folder: Path) -> set[str]:
    names: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            names |= {f"{file.stem}:{name}" for name in tensors.keys()}  # noqa: SIM118
    return names


def test_outputs(trained: Path, base: Path):
    names = {path.name for path in trained.iterdir()}
    assert names == {"best", "last", "history.jsonl", "training_state.pt", "tensorboard"}
    assert list((trained / "tensorboard").glob("events*"))
    lines = history(trained)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert all({"loss", "learning_rate", "val_dice", "val_cldice"} <= line.keys() for line in lines)
    best = max(lines, key=lambda line: line["val_dice"])
    for name, line in (("best", best), ("last", lines[-1])):
        card = read_card(trained / name)
        assert (card["epoch"], card["task"], card["class_names"]) == (line["epoch"], "vessels", ["vessel"])
        assert card["metrics"]["val_dice"] == pytest.approx(line["val_dice"])
        assert card["training_data"].startswith("pictures")


def test_the_base_is_not_saved(trained: Path, base: Path):
    saved = tensor_names(trained / "best")
    assert saved and all(name.startswith("head:") or "lora_" in name for name in saved)
    state = torch.load(trained / "training_state.pt", weights_only=True)["network"]
    assert state and all(name.startswith("head.") or "lora_" in name for name in state)
    size = sum(path.stat().st_size for path in (trained / "best").iterdir())
    assert size < 0.1 * (base / "model.safetensors").stat().st_size


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_each_strategy_by_one_key(strategy: str, settings: Settings, base: Path, tmp_path: Path):
    run = run_bundle(BUNDLE, overrides=settings(tmp_path, strategy=strategy, epochs=1))
    network = run.parser.get_parsed_content("network_def")
    assert network.strategy == read_card(tmp_path / "best")["strategy"] == strategy
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    base_moves = {name for name in trained if name.startswith("stack.")}
    assert bool(base_moves) == (strategy != "frozen")
    loaded = load_stage(tmp_path / "last", pretrained=base, mixed_precision=False)
    loaded = loaded.to(memory_format=torch.channels_last)  # as it was trained: sums in the same order
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(loaded(image), network.eval()(image))


def test_evaluation_gives_the_dice_that_training_noted(trained: Path, settings: Settings, tmp_path: Path):
    overrides = settings(trained, scores_dir=str(tmp_path))
    run = run_bundle(BUNDLE, ["train.yaml", "evaluate.yaml"], overrides)
    noted = read_card(trained / "best")["metrics"]
    found = run.parser.get_parsed_content("validate#evaluator").state.metrics
    assert {name: float(value) for name, value in found.items()} == pytest.approx(noted, abs=1e-6)
    with (tmp_path / "val_dice_raw.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["filename"]).name for row in rows][:3] == ["4.png", "5.png", "6.png"]
    dice = [float(row["class0"]) for row in rows[:3]]
    assert np.mean(dice) == pytest.approx(noted["val_dice"], abs=1e-4)


def test_inference_writes_the_pipelines_files(trained: Path, pictures: Path, base: Path, tmp_path: Path):
    overrides = {
        "dataset_dir": str(pictures / "4.png"),
        "output_dir": str(tmp_path),
        "stage_folder": str(trained / "best"),
        "pretrained": str(base),
        "device": "cpu",
    }
    run_bundle(BUNDLE, "inference.yaml", overrides)
    names = {path.name for path in (tmp_path / "4").iterdir()}
    assert {"vessels.png", "probability.npz", "report.json", "overlay.png", "report.html"} <= names
    mask = np.asarray(Image.open(tmp_path / "4" / "vessels.png"))
    assert mask.shape == (70, 60) and set(np.unique(mask)) <= {0, 255}


def test_commands_resume_exactly_after_a_kill(settings: Settings, tmp_path: Path):
    """Killed in its third epoch and started again, a run has the losses of one that was left alone."""
    options = settings(tmp_path / "killed", epochs=5)
    command = monai_bundle_run(["train.yaml"], options)
    log = tmp_path / "killed" / "history.jsonl"
    with (tmp_path / "output.txt").open("w") as output:
        process = subprocess.Popen(command, env=environment(), stdout=output, stderr=output)
        while len(read_history(log)) < 2 and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, (tmp_path / "output.txt").read_text()
    assert 2 <= len(read_history(log)) < 5
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    run_bundle(BUNDLE, overrides=settings(tmp_path / "straight", epochs=5))
    assert history(tmp_path / "killed") == history(tmp_path / "straight")
    first, second = (
        torch.load(tmp_path / name / "training_state.pt", weights_only=True)["network"]
        for name in ("killed", "straight")
    )
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    best = read_card(tmp_path / "killed" / "best"), read_card(tmp_path / "straight" / "best")
    assert best[0]["files"] == best[1]["files"]  # checksums


def test_two_processes_train_as_one_with_twice_the_batch(settings: Settings, tmp_path: Path):
    """Three validation images on two processes: uneven, which must not hang either."""
    same: dict[str, Any] = {"lora#dropout": 0.0, "augment": False}
    launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    options = settings(tmp_path / "two", batch_size=1, **same)
    command = monai_bundle_run(["train.yaml", "multi_gpu_train.yaml"], options, launcher)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    run_bundle(BUNDLE, overrides=settings(tmp_path / "one", batch_size=2, **same))
    two, one = history(tmp_path / "two"), history(tmp_path / "one")
    assert len(two) == 2
    for line, expected in zip(two, one, strict=True):
        assert (line["loss"], line["learning_rate"]) == pytest.approx(
            (expected["loss"], expected["learning_rate"]), rel=1e-4
        )
        assert line["val_dice"] == pytest.approx(expected["val_dice"], abs=0.01)


def test_a_finished_run_started_again_trains_nothing(trained: Path, settings: Settings):
    before = {path: path.read_bytes() for path in trained.rglob("*.safetensors")}
    lines = history(trained)
    run_bundle(BUNDLE, overrides=settings(trained))
    assert history(trained) == lines
    assert {path: path.read_bytes() for path in trained.rglob("*.safetensors")} == before


def datalist(folder: Path, pictures: Path, training: int, validation: int) -> str:
    """Write a datalist with the first entries of another one; return its path."""
    content = json.loads((pictures / "datalist.json").read_text())
    for split, count in (("training", training), ("validation", validation)):
        content[split] = content[split][:count]
        for entry in content[split]:
            entry |= {key: str(pictures / entry[key]) for key in ("image", "label")}
    (folder / "datalist.json").write_text(json.dumps(content))
    return str(folder / "datalist.json")


@pytest.mark.parametrize(
    ("training", "validation", "message"),
    [
        (0, 3, "expected images under 'training', found none"),
        (4, 0, "expected images under 'validation', found none"),
        (1, 3, "expected at least one batch"),
    ],
)
def test_too_few_images(
    training: int, validation: int, message: str, settings: Settings, pictures: Path, tmp_path: Path
):
    options = settings(tmp_path / "out", datalist_file=datalist(tmp_path, pictures, training, validation))
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=options)
    chain, error = [], caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or error.__context__
    assert any(message in text for text in chain)


def test_unknown_bundle():
    with pytest.raises(ValueError, match=r"expected one of \[.*'vessel_segmentation'.*\], found 'nothing'"):
        bundle_folder("nothing")


# ---- MONAI's own checks ----------------------------------------------------------------------------------------


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """Put a schema where MONAI would download its own to; an existing file is not downloaded again."""
    path = tmp_path / "schema.json"
    path.write_bytes((Path(__file__).parent / "metadata_schema.json").read_bytes())
    return path


def test_metadata_fits_its_schema(schema: Path):
    verify_metadata(meta_file=str(CONFIGS / "metadata.json"), filepath=schema)


@pytest.mark.parametrize("key", ["version", "network_data_format", "required_packages_version"])
def test_the_schema_notices_what_is_missing(key: str, schema: Path, tmp_path: Path):
    content = json.loads((CONFIGS / "metadata.json").read_text())
    del content[key]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="against schema"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=schema)


def test_network_takes_and_gives_what_the_metadata_says(base: Path):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=str(CONFIGS / "train.yaml"),
        device="cpu",
        n=4,
        pretrained=str(base),
        image_size=56,
    )


def test_saved_network_takes_and_gives_what_the_metadata_says(trained: Path, base: Path):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(CONFIGS / "metadata.json"),
        config_file=str(CONFIGS / "inference.yaml"),
        device="cpu",
        n=4,
        stage_folder=str(trained / "best"),
        pretrained=str(base),
    )


def test_monais_properties_of_a_training_bundle(settings: Settings, tmp_path: Path):
    workflow = ConfigWorkflow(
        config_file=str(CONFIGS / "train.yaml"),
        logging_file=False,
        workflow_type="train",
        **settings(tmp_path, cache_rate=0.0),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert workflow.max_epochs == 2 and len(workflow.train_dataset) == 4  # read through MONAI's names


def test_layout_is_that_of_the_model_zoo():
    folder = CONFIGS.parent
    assert {path.name for path in CONFIGS.iterdir()} == {
        "metadata.json",
        "logging.conf",
        "train.yaml",
        "evaluate.yaml",
        "inference.yaml",
        "multi_gpu_train.yaml",
    }
    assert os.listdir(folder / "docs") == ["README.md"]
