"""Export a stage as ONNX, torch.export or a zipped MONAI bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_lora_sam.adapters import open_adapter
from monai_lora_sam.export.describe import METADATA_KEY, describe
from monai_lora_sam.export.parts import export_parts
from monai_lora_sam.export.quantise_onnx import quantise_onnx
from monai_lora_sam.export.trace import trace
from monai_lora_sam.export.write_bundle import write_bundle
from monai_lora_sam.export.write_onnx import write_onnx
from monai_lora_sam.files import atomic_folder, check_output_folder
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.index import find_images
from monai_lora_sam.networks import AdaptedSegmenter, PromptableSegmenter, StageNetwork
from monai_lora_sam.prompting import load_automatic, load_promptable, to_square
from monai_lora_sam.stages import find_stage, head_type
from monai_lora_sam.transforms import NormalizeForEncoderd

FORMATS = ("onnx", "torch_export", "bundle")
RECORD = "export.json"
#: Images by which the ranges of 8 bits are found, at most.
CALIBRATION_IMAGES = 32


def export_stage(
    stage: str | Path,
    out: str | Path,
    form: str = "onnx",
    *,
    int8: str | Path | None = None,
    weights: str | Path | None = None,
    parents: Sequence[str | Path] = (),
) -> list[Path]:
    """Write a stage with its adapters merged into the encoder, in a form that runs without this package.

    Args:
        stage: folder of a stage or of an adapter that is prompted, or the name of an installed one.
        out: folder for the files, replaced as a whole: `model.onnx` of a stage that finds its objects by itself;
            `encoder.onnx` and `decoder_boxes.onnx`, `decoder_points.onnx` of one that is prompted; `.pt2` for
            torch.export; `NAME_vVERSION.zip` for a MONAI bundle; and `export.json`, how images are prepared.
        form: `onnx`, `torch_export` or `bundle`.
        int8: folder of some images, by which the ranges of 8 bits are found: writes the ONNX model that reads images in
            8 bits besides, as `model.int8.onnx` or `encoder.int8.onnx`.
        weights: file, folder or Hugging Face id of the encoder's weights; by default its own.
        parents: folders of the stages that it was trained on top of, where they are not installed.

    Returns:
        The files.

    Raises:
        FileNotFoundError: no such stage or weights.
        ValueError: another form, 8 bits without ONNX, a stage without masks, an operator that ONNX lacks, or a
            package that is missing.

    Example:
        >>> export_stage("vessels", "exported")  # doctest: +SKIP
        [PosixPath('exported/model.onnx'), PosixPath('exported/export.json')]
    """
    if form not in FORMATS:
        raise ValueError(f"format: expected one of {', '.join(FORMATS)}, found {form!r}")
    if int8 is not None and form != "onnx":
        raise ValueError(f"int8: expected the format onnx, found {form}")
    out = Path(out)
    check_output_folder(out)
    others = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if others and RECORD not in others:
        raise FileExistsError(f"{out}: expected an earlier export or no folder, found {sorted(others)[:5]}")
    saved = open_adapter(find_stage(stage))
    network = _load(saved.folder, head_type(saved), weights, parents)
    description: dict[str, Any] = describe(network, saved)
    parts = export_parts(network)
    sized: dict[str, bool] = {}
    with atomic_folder(out) as folder:
        if form == "bundle":
            if not isinstance(network, AdaptedSegmenter):
                raise ValueError(f"{saved.folder}: expected a stage that needs no prompt for a bundle")
            program, sized["model"] = trace(parts[0])
            write_bundle(program, saved.card, description, folder)
        for part in parts if form != "bundle" else ():
            if form == "onnx":
                path = folder / f"{part.name}.onnx"
                sized[part.name] = write_onnx(part, path, description)
                if int8 is not None and list(part.inputs) == ["image"]:
                    quantise_onnx(path, path.with_suffix(".int8.onnx"), _prepared(network, int8))
            else:
                program, sized[part.name] = trace(part)
                extra = {METADATA_KEY: json.dumps({**description, "part": part.name})}
                torch.export.save(program, folder / f"{part.name}.pt2", extra_files=extra)
        record = {**description, "format": form, "dynamic_size": sized}
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        names = sorted(path.name for path in folder.iterdir() if path.name != RECORD)
    return [out / name for name in (*names, RECORD)]


def _prepared(network: StageNetwork, folder: str | Path) -> Iterator[np.ndarray]:
    """Yield the first images of a folder as the network's encoder wants them."""
    for found in islice(find_images([folder]), CALIBRATION_IMAGES):
        pixels = read_colour_image(found.path).pixels
        if isinstance(network, AdaptedSegmenter):
            yield to_square(network, pixels)[0].numpy()
        elif isinstance(network, PromptableSegmenter):
            image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
            normalised = NormalizeForEncoderd("image", network.stack.encoder)({"image": image})["image"]
            with torch.no_grad():
                yield network.prepare(normalised[None]).numpy()


def _load(folder: Path, head: str, weights: str | Path | None, parents: Sequence[str | Path]) -> StageNetwork:
    network: StageNetwork
    if head == "prompts":
        network = load_promptable(weights=weights, adapter=folder, device="cpu")
    else:
        network, _ = load_automatic(folder, weights=weights, device="cpu", parents=parents)
    network.mixed_precision = False
    return network.eval()
