"""Write parts as ONNX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from monai_lora_sam.export.describe import METADATA_KEY
from monai_lora_sam.export.parts import ExportPart
from monai_lora_sam.export.trace import trace

#: Bytes of weights from which on they lie in a file beside the model: one ONNX file holds 2 GiB.
LARGEST_FILE = 1_900_000_000


def write_onnx(part: ExportPart, path: Path, description: dict[str, Any]) -> bool:
    """Write a part as ONNX with the description in its metadata; return whether rows and columns are dynamic.

    Raises:
        ValueError: onnx or onnxscript is missing, or ONNX lacks an operator of the network, which is named.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ValueError(f"ONNX needs {error.name}: pip install 'monai-lora-sam[export]'") from error
    program, sized = trace(part)
    size = sum(tensor.numel() * tensor.element_size() for tensor in part.module.state_dict().values())
    try:
        made = torch.onnx.export(
            program,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamo=True,
            verbose=False,
        )
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        about = next(
            (line for line in lines if "No ONNX function found" in line or "aten." in line), lines[0]
        )
        raise ValueError(
            f"{part.name}: expected operators that ONNX has, found one that it lacks: {' '.join(about.split()):.300}"
        ) from error
    assert made is not None
    model = made.model
    model.metadata_props[METADATA_KEY] = json.dumps({**description, "part": part.name, "dynamic_size": sized})
    made.save(path, external_data=size > LARGEST_FILE)
    onnx.checker.check_model(str(path))
    return sized
