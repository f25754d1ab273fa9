"""Stage 1 end to end on small pictures: files of a run, strategies, a kill, two processes, too few images."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import Forked, module, run_forked
from ignite.engine import Events
from monai.bundle import ConfigWorkflow
from safetensors import safe_open

from monai_lora_sam.adapters import read_card
from monai_lora_sam.handlers import read_history
from monai_lora_sam.stages import load_stage
from monai_lora_sam.workflows import bundle_folder, run_bundle

BUNDLE = "vessel_segmentation"
CONFIGS = bundle_folder(BUNDLE) / "configs"
STRATEGIES = ("lora", "frozen", "last_n", "full")
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def trained(train_bundle: Callable[[str], Path]) -> Path:
    return train_bundle(BUNDLE)


def history(output: Path) -> list[dict]:
    lines = read_history(output / "history.jsonl")
    return [{key: value for key, value in line.items() if not key.endswith("seconds")} for line in lines]


def tensor_names(folder: Path) -> set[str]:
    names: set[str] = set()
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            names |= {f"{file.stem}:{name}" for name in tensors.keys()}  # noqa: SIM118
    return names


def test_best_and_last_are_those_of_the_history(trained: Path):
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
    check_average(run, tmp_path / "last", base)


def check_average(run: ConfigWorkflow, folder: Path, base: Path) -> None:
    """The average is validated, saved, another network than the one in training, and shares the rest with it."""
    network, averaged = (run.parser.get_parsed_content(key) for key in ("network_def", "averaged"))
    assert run.parser.get_parsed_content("validate#evaluator").network is averaged
    loaded = load_stage(folder, pretrained=base, mixed_precision=False)
    loaded = loaded.to(memory_format=torch.channels_last)  # as it was trained: sums in the same order
    image = torch.randn(1, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(loaded(image), averaged.eval()(image))
        assert not torch.equal(loaded(image), network.eval()(image))
    own, averages = (dict(part.named_parameters()) for part in (network, averaged))
    assert own.keys() == averages.keys()
    for name, parameter in own.items():
        assert (averages[name] is parameter) != parameter.requires_grad


@pytest.fixture
def prepared(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., ConfigWorkflow]]:
    """Return a function that prepares a run of one epoch of two steps, for a test to watch it."""
    made = []

    def prepare(**more: Any) -> ConfigWorkflow:
        workflow = ConfigWorkflow(
            config_file=str(CONFIGS / "train.yaml"),
            logging_file=False,
            workflow_type="train",
            **settings(tmp_path, epochs=1, **more),
        )
        workflow.initialize()
        made.append(workflow)
        return workflow

    yield prepare
    for workflow in made:
        workflow.finalize()


def test_the_average_is_that_of_the_steps(prepared: Callable[..., ConfigWorkflow]):
    """Two steps of weight 1/2 from the start: a quarter of it, a quarter of the first and half of the second."""
    workflow = prepared(average_momentum=0.001)  # 20 / 2 steps is more, and cut to 0.5
    trainer = workflow.parser.get_parsed_content("train#trainer")
    weights = workflow.parser.get_parsed_content("network_def").head.classify.weight
    steps = [weights.detach().clone()]
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: steps.append(weights.detach().clone()))
    workflow.run()
    averaged = workflow.parser.get_parsed_content("averaged").head.classify.weight
    start, first, second = steps
    assert torch.allclose(averaged, 0.25 * start + 0.25 * first + 0.5 * second, atol=1e-6)
    assert not torch.allclose(averaged, second, atol=1e-4)


def test_the_optimiser_sees_clipped_gradients(prepared: Callable[..., ConfigWorkflow]):
    workflow = prepared(max_norm=0.01)
    optimizer = workflow.parser.get_parsed_content("optimizer")
    norms: list[float] = []

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"]]
        norms.append(float(torch.cat([g.flatten() for g in gradients if g is not None]).norm()))

    optimizer.register_step_pre_hook(note)
    workflow.run()
    assert norms == pytest.approx([0.01, 0.01], rel=1e-3)


def test_implants_and_weak_filling_by_one_key_each(prepared: Callable[..., ConfigWorkflow]):
    workflow = prepared(implants=1.0, weak_filling=0.5)
    chances = {
        type(transform).__name__: transform.prob
        for transform in workflow.parser.get_parsed_content("train#preprocessing").flatten().transforms
        if hasattr(transform, "prob")
    }
    assert (chances["RandImplantsd"], chances["RandBranchContrastd"]) == (1.0, 0.5)
    workflow.run()
    losses = [line["loss"] for line in history(Path(workflow.parser.get_parsed_content("output_dir")))]
    assert len(losses) == 1 and np.isfinite(losses[0])


def test_a_convolutional_encoder_needs_no_further_key(settings: Settings, tmp_path: Path):
    """`mini` has no query and no value: its 1 x 1 convolutions are adapted, below a head of 32 channels."""
    options = settings(tmp_path, encoder_name="mini", pretrained=False, image_size=64, epochs=1, batch_size=4)
    del options["head_width"], options["lora#r"]
    run = run_bundle(BUNDLE, overrides=options)
    card = read_card(tmp_path / "best")
    assert (card["head"]["width"], card["encoder"]["name"]) == (32, "mini")
    config = json.loads((tmp_path / "best" / "adapter_config.json").read_text())
    assert set(config["target_modules"]) == {"conv_pw", "conv_pwl"} and config["r"] == 16
    network = run.parser.get_parsed_content("network_def")
    adapter = sum(p.numel() for name, p in network.named_parameters() if "lora_" in name)
    assert 0.30e6 < adapter < 0.38e6


def test_evaluation_writes_the_dice_of_each_image(trained: Path, settings: Settings, tmp_path: Path):
    overrides = settings(trained, scores_dir=str(tmp_path))
    run_bundle(BUNDLE, ["train.yaml", "evaluate.yaml"], overrides)
    noted = read_card(trained / "best")["metrics"]
    with (tmp_path / "val_dice_raw.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["filename"]).name for row in rows][:3] == ["4.png", "5.png", "6.png"]
    dice = [float(row["class0"]) for row in rows[:3]]
    assert np.mean(dice) == pytest.approx(noted["val_dice"], abs=1e-4)


def test_evaluation_with_the_mirror_image(trained: Path, settings: Settings, tmp_path: Path):
    """The map of an image and that of its mirror image are then one: MONAI's inferer is wrapped, in logits."""
    overrides = settings(trained, scores_dir=str(tmp_path), flip=True)
    run = run_bundle(BUNDLE, ["train.yaml", "evaluate.yaml"], overrides)
    evaluator = run.parser.get_parsed_content("validate#evaluator")
    assert type(evaluator.inferer).__name__ == "MirrorInferer"
    image, view = torch.randn(2, 3, 56, 56), torch.tensor([[30.0, -20.0], [float("nan"), float("nan")]])
    mirrored_view = view * torch.tensor([-1.0, 1.0])
    with torch.no_grad():
        found = evaluator.inferer(image, evaluator.network, view=view)
        opposite = evaluator.inferer(image.flip(3), evaluator.network, view=mirrored_view)
    torch.testing.assert_close(found, opposite.flip(3))
    assert 0 <= evaluator.state.metrics["val_dice"] <= 1


def test_commands_resume_exactly_after_a_kill(settings: Settings, bundle_command: Callable, tmp_path: Path):
    """Killed in its third epoch and started again, a run has the losses of one that was left alone."""
    options = settings(tmp_path / "killed", epochs=5)
    command = bundle_command(BUNDLE, ["train.yaml"], options)
    log, output = tmp_path / "killed" / "history.jsonl", tmp_path / "output.txt"
    process = Forked(module(command), output)
    while len(read_history(log)) < 2 and process.poll() is None:
        time.sleep(0.02)
    assert process.kill() == -signal.SIGKILL, process.said()
    assert 2 <= len(read_history(log)) < 5
    run_forked(command, output)

    run_bundle(BUNDLE, overrides=settings(tmp_path / "straight", epochs=5))
    assert history(tmp_path / "killed") == history(tmp_path / "straight")
    first, second = (
        torch.load(tmp_path / name / "training_state.pt", weights_only=True)["network"]
        for name in ("killed", "straight")
    )
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    averages = (
        torch.load(tmp_path / name / "training_state.pt", weights_only=True)["average"]
        for name in ("killed", "straight")
    )
    assert all(torch.equal(*pair) for pair in zip(*(state.values() for state in averages), strict=True))
    best = read_card(tmp_path / "killed" / "best"), read_card(tmp_path / "straight" / "best")
    assert best[0]["files"] == best[1]["files"]  # checksums


def test_changed_settings_are_refused_and_those_that_may_change_are_told(
    settings: Settings, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    options = settings(tmp_path / "out", epochs=1)
    run_bundle(BUNDLE, overrides=options)
    before = (tmp_path / "out" / "training_state.pt").read_bytes()
    for key, value, message in (
        ("learning_rate", 0.02, "learning_rate 0.01 → 0.02"),
        ("seed", 7, "seed 0 → 7"),
        ("train#dataloader#drop_last", False, "drop_last None → False"),
        ("datalist_file", datalist(tmp_path, pictures, 3, 3), r"datalist_file 4 training.* → 3 training"),
    ):
        with pytest.raises(ValueError, match=f"expected the settings of the run so far, found .*{message}"):
            run_bundle(BUNDLE, overrides={**options, "epochs": 2, key: value})
    assert (tmp_path / "out" / "training_state.pt").read_bytes() == before
    run_bundle(BUNDLE, overrides=options)
    assert "finished after epoch 1" in capsys.readouterr().err
    run_bundle(BUNDLE, overrides={**options, "epochs": 2})
    assert "takes changed settings: epochs 1 → 2" in capsys.readouterr().err


def test_a_corrupt_state_is_one_line(settings: Settings, tmp_path: Path):
    (tmp_path / "training_state.pt").write_bytes(b"no state")
    with pytest.raises(
        ValueError, match=r"expected a training state.*delete the file or set resume"
    ) as caught:
        run_bundle(BUNDLE, overrides=settings(tmp_path))
    assert "\n" not in str(caught.value)


def test_two_processes_train_as_one_with_twice_the_batch(
    settings: Settings, bundle_command: Callable, tmp_path: Path
):
    """Three validation images on two processes: uneven, which must not hang either. Started by torchrun itself."""
    same: dict[str, Any] = {"lora#dropout": 0.0, "augment": False}
    options = settings(tmp_path / "two", batch_size=1, **same)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m"]
    command = [*launcher, *bundle_command(BUNDLE, ["train.yaml", "multi_gpu_train.yaml"], options)]
    path = os.pathsep.join(filter(None, [str(CONFIGS.parents[2]), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    run_bundle(BUNDLE, overrides=settings(tmp_path / "one", batch_size=2, **same))
    two, one = history(tmp_path / "two"), history(tmp_path / "one")
    assert len(two) == 2
    for line, expected in zip(two, one, strict=True):
        assert (line["loss"], line["learning_rate"]) == pytest.approx(
            (expected["loss"], expected["learning_rate"]), rel=1e-4
        )
        assert line["val_dice"] == pytest.approx(expected["val_dice"], abs=0.01)


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
    training: int,
    validation: int,
    message: str,
    settings: Settings,
    pictures: Path,
    messages: Callable,
    tmp_path: Path,
):
    options = settings(tmp_path / "out", datalist_file=datalist(tmp_path, pictures, training, validation))
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=options)
    assert any(message in text for text in messages(caught.value))
