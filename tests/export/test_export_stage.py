"""Exported stages give the network's own output without this package."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import monai.bundle
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from PIL import Image
from torch import nn

from monai_lora_sam.encoders import build_encoder
from monai_lora_sam.export import METADATA_KEY, export_parts, export_stage
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.networks import PromptableSegmenter
from monai_lora_sam.prompting import find_objects, load_automatic, load_promptable, to_square
from monai_lora_sam.stages import new_stage, save_stage

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def small_base(promptable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a stage of two classes on a convolutional encoder, which takes any size."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        stage = new_stage(
            build_encoder("mini", promptable, 64),
            head="segmentation",
            name="organs",
            out_channels=3,
            width=8,
            lora={"r": 2},
            mixed_precision=False,
        )
        for parameter in stage.parameters():
            if parameter.requires_grad:
                parameter.data += 0.05 * torch.randn_like(parameter)
    names = ["background", "kidney", "liver"]
    return save_stage(stage, tmp_path_factory.mktemp("organs") / "stage", task="organs", class_names=names)


@pytest.fixture(scope="module")
def prompted_stage(promptable: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save an adapter with a prompt head on the small promptable network."""
    with torch.random.fork_rng():
        torch.manual_seed(6)
        stage = new_stage(
            build_encoder("mini", promptable, 64),
            head="prompts",
            name="spleen",
            pretrained=promptable,
            lora={"r": 2},
        )
        for name, parameter in stage.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.05)
    return save_stage(
        stage, tmp_path_factory.mktemp("spleen") / "stage", task="spleen", class_names=["spleen"]
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two smooth pictures, one of them larger than the encoders' squares."""
    folder = tmp_path_factory.mktemp("pictures")
    rows, columns = np.mgrid[:90, :70]
    for number in range(2):
        wave = 127 + 100 * np.sin((rows + number * columns) / 9)
        Image.fromarray(wave.astype(np.uint8)[: 90 - 50 * number]).save(folder / f"{number}.png")
    return folder


def _run(path: Path, *inputs: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    return session.run(None, {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)})


@pytest.mark.slow
def test_a_stage_on_another_gives_the_same_logits_in_onnxruntime(stages: SimpleNamespace, tmp_path: Path):
    files = export_stage(stages.segments, tmp_path / "onnx", weights=stages.base, parents=[stages.vessels])
    assert [file.name for file in files] == ["model.onnx", "export.json"]
    network, names = load_automatic(
        stages.segments, weights=stages.base, parents=[stages.vessels], device="cpu"
    )
    network.mixed_precision = False
    record = json.loads(files[1].read_text())
    sizes = [(1, 56, 56), (3, 56, 56)] + [(2, 84, 70)] * record["dynamic_size"]["model"]
    for batch, rows, columns in sizes:
        image = torch.randn(batch, 3, rows, columns)
        with torch.no_grad():
            assert np.abs(_run(files[0], image)[0] - network(image).numpy()).max() < 1e-3
    properties = {one.key: one.value for one in onnx.load(files[0]).metadata_props}
    described = json.loads(properties[METADATA_KEY])
    assert described["class_names"] == names and described["stage"]["name"] == "segments"
    assert [step["step"] for step in described["preprocessing"]] == [
        "intensities",
        "scale",
        "pad",
        "normalise",
    ]


def test_a_convolutional_encoder_takes_any_size_and_8_bits(
    small_base: Path, promptable: Path, pictures: Path, tmp_path: Path
):
    files = export_stage(small_base, tmp_path / "onnx", weights=promptable, int8=pictures)
    assert [file.name for file in files] == ["model.int8.onnx", "model.onnx", "export.json"]
    record = json.loads(files[2].read_text())
    assert record["dynamic_size"] == {"model": True}
    assert "own_range" in [step["step"] for step in record["preprocessing"]]
    network, _ = load_automatic(small_base, weights=promptable, device="cpu")
    network.mixed_precision = False
    patch = network.stack.encoder.patch_size
    for batch, rows, columns in ((1, 64, 64), (2, 3 * patch, 5 * patch)):
        image = torch.randn(batch, 3, rows, columns)
        with torch.no_grad():
            assert np.abs(_run(files[1], image)[0] - network(image).numpy()).max() < 1e-3
    image, _ = to_square(network, read_colour_image(pictures / "0.png").pixels)
    exact, rounded = (_run(file, image)[0] for file in (files[1], files[0]))
    assert np.abs(exact - rounded).max() > 0 and np.corrcoef(exact.ravel(), rounded.ravel())[0, 1] > 0.9
    assert (exact.argmax(1) == rounded.argmax(1)).mean() > 0.8
    assert files[0].stat().st_size < 0.6 * files[1].stat().st_size


@pytest.mark.slow
def test_a_prompted_stage_is_an_encoder_and_decoders(prompted_stage: Path, promptable: Path, tmp_path: Path):
    files = export_stage(prompted_stage, tmp_path / "onnx", weights=promptable)
    assert [file.name for file in files] == [
        "decoder_boxes.onnx",
        "decoder_points.onnx",
        "encoder.onnx",
        "export.json",
    ]
    network = load_promptable(weights=promptable, adapter=prompted_stage, device="cpu")
    network.mixed_precision = False
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        square = network.prepare(image)
        embedding = network.embed(square)
        assert np.abs(_run(files[2], square)[0] - embedding.numpy()).max() < 1e-3
        boxes = torch.tensor([[4.0, 6.0, 40.0, 50.0]]).expand(2, 5, 4)
        points, labels = torch.rand(2, 2, 3, 2) * 60, torch.tensor([1, 0, 1]).expand(2, 2, 3).contiguous()
        for file, prompt, more in (
            (files[0], {"boxes": boxes}, {}),
            (files[1], {"points": points, "point_labels": labels}, {"multimask": True}),
        ):
            masks, iou = network.head(embedding, 64, **prompt, **more)
            found = _run(file, embedding, *prompt.values())
            assert np.abs(found[0] - masks.numpy()).max() < 1e-3
            assert np.abs(found[1] - iou.numpy()).max() < 1e-3


@pytest.mark.slow
def test_torch_export_gives_the_same_logits_without_this_package(stages: SimpleNamespace, tmp_path: Path):
    files = export_stage(stages.vessels, tmp_path / "pt2", "torch_export", weights=stages.base)
    assert [file.name for file in files] == ["model.pt2", "export.json"]
    extra = {METADATA_KEY: ""}
    program = torch.export.load(files[0], extra_files=extra)
    assert json.loads(extra[METADATA_KEY])["class_names"] == ["vessel"]
    network, _ = load_automatic(stages.vessels, weights=stages.base, device="cpu")
    network.mixed_precision = False
    image = torch.randn(3, 3, 56, 56)
    with torch.no_grad():
        assert torch.allclose(program.module()(image), network(image), atol=1e-4)


def test_monai_bundle_loads_the_zip_and_runs_it(
    small_base: Path, promptable: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (path, _) = export_stage(small_base, tmp_path / "zip", "bundle", weights=promptable)
    assert path.name == "organs_v1.zip"
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    root = tmp_path / "organs"
    monkeypatch.chdir(tmp_path)
    loaded = monai.bundle.load("organs", bundle_dir=".", workflow_type="inference", device="cpu")
    image = torch.randn(2, 3, 64, 64)
    network, names = load_automatic(small_base, weights=promptable, device="cpu")
    network.mixed_precision = False
    with torch.no_grad():
        assert torch.allclose(loaded(image), network(image), atol=1e-4)
    workflow = ConfigWorkflow(
        config_file=str(root / "configs" / "inference.json"),
        meta_file=str(root / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type="inference",
        bundle_root=str(root),
        dataset_dir=str(pictures),
        output_dir=str(tmp_path / "masks"),
        device="$torch.device('cpu')",
    )
    workflow.initialize()
    workflow.run()
    for number in range(2):
        found = np.asarray(Image.open(tmp_path / "masks" / f"{number}_mask.png"))
        objects = find_objects(network, read_colour_image(pictures / f"{number}.png").pixels, names)
        expected = sum((index + 1) * one.mask for index, one in enumerate(objects))
        assert found.shape == expected.shape and (found == expected).mean() > 0.99
    # Nothing of this package is named, so that MONAI alone runs it.
    package = [
        line for line in (root / "configs" / "inference.json").read_text().splitlines() if "lora" in line
    ]
    assert not package


def test_wrong_exports_are_refused(
    stages: SimpleNamespace, prompted_stage: Path, promptable: Path, pictures: Path, tmp_path: Path
):
    out = tmp_path / "out"
    with pytest.raises(
        ValueError, match="format: expected one of onnx, torch_export, bundle, found 'tflite'"
    ):
        export_stage(stages.vessels, out, "tflite", weights=stages.base)
    with pytest.raises(ValueError, match="int8: expected the format onnx, found bundle"):
        export_stage(stages.vessels, out, "bundle", int8=pictures, weights=stages.base)
    with pytest.raises(ValueError, match="expected a stage that needs no prompt for a bundle"):
        export_stage(prompted_stage, out, "bundle", weights=promptable)
    with pytest.raises(FileExistsError, match="expected an earlier export or no folder, found"):
        export_stage(stages.vessels, pictures, weights=stages.base)
    assert not out.exists()


def test_an_operator_that_onnx_lacks_is_named(
    stages: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from monai_lora_sam.export.parts import MergedSegmenter

    class Eigenvalues(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(image[:, :1]).real

    monkeypatch.setattr(MergedSegmenter, "forward", lambda self, image: Eigenvalues()(image))
    with pytest.raises(ValueError, match=r"expected operators that ONNX has, found one that it lacks: .*eig"):
        export_stage(stages.vessels, tmp_path / "out", weights=stages.base)
    assert not (tmp_path / "out").exists()


def test_text_stages_are_refused(text_stage: Path, promptable: Path):
    network = load_promptable(weights=promptable, adapter=text_stage, device="cpu")
    assert isinstance(network, PromptableSegmenter)
    with pytest.raises(ValueError, match="by itself or by boxes and points, found a head of type 'text'"):
        export_parts(network)


@pytest.mark.slow
def test_the_example_without_torch_gives_the_mask(
    stages: SimpleNamespace, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = Path(__file__).resolve().parents[2] / "docs" / "export.md"
    example = re.search(r"```python\n(.*?onnxruntime.*?)```", page.read_text("utf-8"), re.DOTALL)[1]
    assert len(example.splitlines()) <= 24 and "torch" not in example and "monai_lora_sam." not in example
    export_stage(stages.vessels, tmp_path / "exported", weights=stages.base)
    (tmp_path / "angiogram.png").write_bytes((pictures / "0.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    network, names = load_automatic(stages.vessels, weights=stages.base, device="cpu")
    expected = find_objects(network, read_colour_image(pictures / "0.png").pixels, names)[0].mask
    found = np.asarray(Image.open("mask.png")) > 0
    assert found.shape == expected.shape and (found == expected).mean() > 0.97
