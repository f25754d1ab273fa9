"""The common part of all bundles: MONAI's own checks, layout, strategies, evaluation, resume, inference."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from ignite.engine import Events
from monai.bundle import ConfigWorkflow, verify_metadata, verify_net_in_out
from PIL import Image

from monai_lora_sam.adapters import read_card
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, run_files
from monai_lora_sam.handlers import read_history
from monai_lora_sam.workflows import bundle_folder, run_bundle

LUMEN = ("lumen_refinement", "lumen_diameter")
OF_THE_PIPELINE = ("vessel_segmentation", "segment_classification", "stenosis_detection", *LUMEN)
TRAINED = (
    *OF_THE_PIPELINE,
    "minisam_distillation",
    "modality_adapter",
    "text_adaptation",
    "reasoning_segmentation",
)
#: Bundles whose inference measures vessels and writes the pipeline's report.
MEASURING = (*OF_THE_PIPELINE, "coronary_pipeline")
BUNDLES = (*TRAINED, "coronary_pipeline")
FILES = {"metadata.json", "settings.yaml", "logging.conf", "inference.yaml"}
TRAINING_FILES = {"train.yaml", "evaluate.yaml", "multi_gpu_train.yaml"}
#: Further files that are laid over train.yaml, by bundle.
MORE_FILES = {"modality_adapter": {"automatic.yaml"}, "text_adaptation": {"sam3.yaml"}}
#: Keys of inference.yaml that name a stage, by bundle.
STAGE_KEYS = {
    "vessel_segmentation": ("stage_folder",),
    "segment_classification": ("vessels", "stage_folder"),
    "stenosis_detection": ("vessels", "segments", "stage_folder"),
    "coronary_pipeline": ("vessels", "segments", "stenosis"),
    "lumen_refinement": ("vessels",),
    "lumen_diameter": ("vessels",),
}
#: The refiner reads a second tensor; MONAI draws the first one only.
SECOND_INPUTS = {"lumen_refinement": {"probability": torch.full((1, 1, 32, 32), 0.5)}}
Settings = Callable[..., dict[str, Any]]


def configs(bundle: str) -> Path:
    return bundle_folder(bundle) / "configs"


@pytest.fixture
def inference(stages: SimpleNamespace, pictures: Path, tmp_path: Path) -> Settings:
    """Return overrides of inference.yaml with random stages, on one picture and a file that is none."""

    def make(bundle: str, **more: Any) -> dict[str, Any]:
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / "4.png").write_bytes((pictures / "4.png").read_bytes())
        folders = [str(stages.vessels), str(stages.segments), str(stages.stenosis)]
        return {
            **dict(zip(STAGE_KEYS[bundle], folders, strict=False)),
            "dataset_dir": str(tmp_path / "in"),
            "output_dir": str(tmp_path / "out"),
            "pretrained": str(stages.base),
            "device": "cpu",
        } | more

    return make


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    """Put a schema where MONAI would download its own to; an existing file is not downloaded again."""
    path = tmp_path / "schema.json"
    path.write_bytes((Path(__file__).parent / "metadata_schema.json").read_bytes())
    return path


def workflow(bundle: str, file: str, kind: str, overrides: dict[str, Any]) -> ConfigWorkflow:
    made = ConfigWorkflow(
        config_file=str(configs(bundle) / file), logging_file=False, workflow_type=kind, **overrides
    )
    made.initialize()
    return made


# ---- MONAI's own checks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", BUNDLES)
def test_metadata_fits_its_schema(bundle: str, schema: Path):
    verify_metadata(meta_file=str(configs(bundle) / "metadata.json"), filepath=schema)


@pytest.mark.parametrize("key", ["version", "network_data_format", "required_packages_version"])
def test_the_schema_notices_a_missing_key(key: str, schema: Path, tmp_path: Path):
    content = json.loads((configs("vessel_segmentation") / "metadata.json").read_text())
    del content[key]
    (tmp_path / "metadata.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="against schema"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=schema)


@pytest.mark.parametrize("bundle", BUNDLES)
def test_layout_is_that_of_the_model_zoo(bundle: str):
    expected = FILES | (TRAINING_FILES if bundle in TRAINED else set()) | MORE_FILES.get(bundle, set())
    assert {path.name for path in configs(bundle).iterdir()} == expected
    assert os.listdir(bundle_folder(bundle) / "docs") == ["README.md"]


@pytest.mark.parametrize("bundle", BUNDLES)
def test_imports_have_one_name_a_line(bundle: str):
    """MONAI knows only the first name of ``from x import a, b``."""
    for path in configs(bundle).glob("*.yaml"):
        for line in yaml.safe_load(path.read_text()).get("imports", []):
            (statement,) = ast.parse(line.removeprefix("$")).body
            assert isinstance(statement, ast.Import | ast.ImportFrom) and len(statement.names) == 1, line


@pytest.mark.parametrize("bundle", MEASURING)
def test_network_takes_and_gives_what_the_metadata_says(bundle: str, inference: Settings):
    stages = {key: inference(bundle)[key] for key in (*STAGE_KEYS[bundle], "pretrained")}
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs(bundle) / "metadata.json"),
        config_file=str(configs(bundle) / "inference.yaml"),
        device="cpu",
        extra_forward_args=SECOND_INPUTS.get(bundle, {}),
        **stages,
    )


@pytest.mark.parametrize("bundle", [name for name in OF_THE_PIPELINE if name != "stenosis_detection"])
def test_network_in_training_takes_and_gives_what_the_metadata_says(
    bundle: str, bundle_options: Settings, tmp_path: Path
):
    options = bundle_options(bundle, tmp_path)
    keys = options.keys() & {"encoder_name", "pretrained", "image_size", "vessels"}
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs(bundle) / "metadata.json"),
        config_file=str(configs(bundle) / "train.yaml"),
        device="cpu",
        extra_forward_args=SECOND_INPUTS.get(bundle, {}),
        **{key: options[key] for key in keys},
    )


@pytest.mark.parametrize("bundle", TRAINED)
def test_monais_properties_of_a_training_bundle(bundle: str, bundle_options: Settings, tmp_path: Path):
    made = workflow(bundle, "train.yaml", "train", bundle_options(bundle, tmp_path))
    assert made.check_properties() == []
    items = 16 if bundle == "lumen_diameter" else 4
    assert made.max_epochs == 2 and len(made.train_dataset) == items  # read through MONAI's names


@pytest.mark.parametrize("bundle", MEASURING)
def test_monais_properties_of_an_inference_bundle(bundle: str, inference: Settings):
    made = workflow(bundle, "inference.yaml", "infer", inference(bundle))
    assert made.check_properties() == []
    assert made.evaluator.network is made.parser.get_parsed_content("network")
    assert made.evaluator.inferer is made.inferer
    item = made.preprocessing({"image": str(Path(made.dataset_dir) / "4.png")})  # as MONAI Label calls it
    second = {name: item[name][None] for name in SECOND_INPUTS.get(bundle, {})}
    assert item["image"].shape == ((1, 70, 60) if second else (3, 56, 56))
    # The diameter network reads vessels, which stage 1 finds in the image.
    network = made.evaluator.network if bundle == "lumen_diameter" else made.network_def
    with torch.no_grad():
        outputs = made.inferer(item["image"][None], network.eval(), **second)
    first = outputs[0] if isinstance(outputs, torch.Tensor) else {n: _first(o) for n, o in outputs.items()}
    mask = made.postprocessing(item | {"pred": first})["pred"]
    assert mask.shape == (1, 70, 60) and mask.max() < 26


def _first(output: Any) -> Any:
    return {name: value[0] for name, value in output.items()} if isinstance(output, dict) else output[0]


def test_unknown_bundle():
    with pytest.raises(ValueError, match=r"expected one of \[.*'vessel_segmentation'.*\], found 'nothing'"):
        bundle_folder("nothing")


# ---- training --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bundle", TRAINED)
def test_outputs_and_card(bundle: str, train_bundle: Callable[[str], Path]):
    trained = train_bundle(bundle)
    names = {path.name for path in trained.iterdir()}
    assert names == {"best", "last", "history.jsonl", "training_state.pt", "tensorboard"}
    assert list((trained / "tensorboard").glob("events*"))
    lines = read_history(trained / "history.jsonl")
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    card = read_card(trained / "last")
    assert card["epoch"] == len(lines)
    assert card["training_data"].startswith(("pictures", "named", "narrowed", "synthetic"))
    for name, score in card["metrics"].items():
        assert score is None or lines[-1][name] == pytest.approx(score)
    assert read_card(trained / "best")["epoch"] in [line["epoch"] for line in lines]


@pytest.mark.parametrize("bundle", TRAINED)
def test_evaluation_gives_the_scores_that_training_noted(
    bundle: str, bundle_options: Settings, train_bundle: Callable[[str], Path], tmp_path: Path
):
    trained = train_bundle(bundle)
    options = bundle_options(bundle, trained, scores_dir=str(tmp_path))
    run = run_bundle(bundle, ["train.yaml", "evaluate.yaml"], options)
    found = run.parser.get_parsed_content("validate#evaluator").state.metrics
    noted = read_card(trained / "best")["metrics"]
    expected = {name: float("nan") if value is None else value for name, value in noted.items()}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        expected, abs=1e-6, nan_ok=True
    )
    assert (tmp_path / "metrics.csv").is_file()


@pytest.mark.parametrize("bundle", TRAINED)
def test_a_finished_run_started_again_trains_nothing(
    bundle: str, bundle_options: Settings, train_bundle: Callable[[str], Path]
):
    trained = train_bundle(bundle)
    files = [*trained.rglob("*.safetensors"), trained / "history.jsonl"]
    before = [path.read_bytes() for path in files]
    run_bundle(bundle, overrides=bundle_options(bundle, trained, epochs=len(read_history(files[-1]))))
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("bundle", TRAINED)
def test_it_goes_on_where_it_stopped(bundle: str, bundle_options: Settings, tmp_path: Path):
    """Stopped in its second epoch and started again, a run has the losses and weights of an undisturbed one."""
    straight, parts = tmp_path / "straight", tmp_path / "parts"
    run_bundle(bundle, overrides=bundle_options(bundle, straight, warm_up=0.0))
    stopped = workflow(bundle, "train.yaml", "train", bundle_options(bundle, parts, warm_up=0.0))

    def stop(engine: Any) -> None:
        if engine.state.epoch == 2:
            raise KeyError("stopped")

    stopped.parser.get_parsed_content("train#trainer").add_event_handler(Events.ITERATION_COMPLETED, stop)
    with pytest.raises(RuntimeError, match="Failed to evaluate"):
        stopped.run()
    assert [line["epoch"] for line in read_history(parts / "history.jsonl")] == [1]
    run_bundle(bundle, overrides=bundle_options(bundle, parts, warm_up=0.0))
    first, second = (
        [[line["epoch"], line["loss"]] for line in read_history(folder / "history.jsonl")]
        for folder in (straight, parts)
    )
    assert first == second
    for path in (straight / "last").glob("*.safetensors"):
        assert path.read_bytes() == (parts / "last" / path.name).read_bytes()


# ---- inference -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("bundle", MEASURING)
def test_inference_writes_the_files_of_the_pipeline(
    bundle: str, tiled: bool, inference: Settings, stages: SimpleNamespace, tmp_path: Path
):
    if tiled and "inference:" not in (configs(bundle) / "inference.yaml").read_text():
        pytest.skip("scales the whole image only")
    tiles: dict[str, Any] = {"inference": "tiled"} if tiled else {}
    options = inference(bundle, **tiles)
    run_bundle(bundle, "inference.yaml", options)
    folders = (stages.vessels, stages.segments, stages.stenosis)[: len(STAGE_KEYS[bundle])]
    pipeline = CoronaryPipeline(*folders, device="cpu", pretrained=stages.base, **tiles)
    run_files([options["dataset_dir"]], tmp_path / "expected", pipeline)
    found, expected = tmp_path / "out" / "4", tmp_path / "expected" / "4"
    assert {path.name for path in found.iterdir()} == {path.name for path in expected.iterdir()}
    for name in ("vessels.png", "segments.png"):
        if (expected / name).is_file():
            mask = np.asarray(Image.open(found / name))
            assert mask.shape == (70, 60)
            np.testing.assert_array_equal(mask, np.asarray(Image.open(expected / name)))
    one, other = (json.loads((folder / "report.json").read_text()) for folder in (found, expected))
    assert one.pop("timings_s").keys() == other.pop("timings_s").keys()
    # The pages show the timings, so that their hashes differ.
    assert one["run"].pop("files").keys() == other["run"].pop("files").keys()
    assert one == other


@pytest.mark.parametrize("bundle", MEASURING)
def test_a_bad_file_is_listed_and_the_others_done(
    bundle: str, inference: Settings, tmp_path: Path, capsys: pytest.CaptureFixture
):
    options = inference(bundle)
    for name in ("3.png", "5.png"):
        (tmp_path / "in" / name).write_bytes(b"no image")
    for _ in range(2):  # the second time, the good one is finished
        with pytest.raises(BaseException) as caught:
            run_bundle(bundle, "inference.yaml", options)
        assert isinstance(caught.value, SystemExit) and caught.value.code == 1
        lines = re.findall(r"(\d\.png): (\w+)", capsys.readouterr().out)
        assert lines == [("3.png", "expected"), ("4.png", "done"), ("5.png", "expected")]
    assert (tmp_path / "out" / "4" / "report.json").is_file()
    assert "1 done, 2 failed" in (tmp_path / "out" / "index.html").read_text()
