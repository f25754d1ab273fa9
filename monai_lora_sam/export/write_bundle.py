"""Write a stage as a zipped MONAI bundle that needs MONAI alone."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from torch.export import ExportedProgram

#: A traced module is in evaluation mode for good, and refuses `train` and `eval`, which MONAI's evaluator calls.
FORGET = "vars(@network_def).pop('{}', None)"
INFERENCE = {
    "imports": ["$import torch", "$from pathlib import Path"],
    "dataset_dir": "$@bundle_root + '/data'",
    "output_dir": "$@bundle_root + '/eval'",
    "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
    "network_def": "$torch.export.load(@bundle_root + '/models/model.pt2').module()",
    "network": f"$({FORGET.format('train')}, {FORGET.format('eval')}, @network_def.to(@device))[-1]",
    "files": "$sorted(str(p) for p in Path(@dataset_dir).iterdir()) if Path(@dataset_dir).is_dir() else [@dataset_dir]",
}
README = """# {name}

{task}. Exported by monai-lora-sam {version}: adapters are merged into the encoder. MONAI runs it without that package:

    python -m monai.bundle run --config_file configs/inference.json --bundle_root . --dataset_dir images

In the folder around this one `monai.bundle.load("{name}", bundle_dir=".", workflow_type="inference")` returns the
network with its weights.

{use}
"""


def write_bundle(
    program: ExportedProgram, card: dict[str, Any], description: dict[str, Any], folder: Path
) -> Path:
    """Write `NAME_vVERSION.zip` with the traced network, its configuration for inference and its metadata.

    Args:
        program: the traced network.
        card: of the stage.
        description: of the export.
        folder: gets the file.

    Returns:
        The file.
    """
    name, version = (re.sub(r"[^A-Za-z0-9_.]+", "_", str(card[key])) for key in ("name", "version"))
    name = name.replace(".", "_")  # it is the name of a module, too
    model, state = io.BytesIO(), io.BytesIO()
    torch.export.save(program, model)
    torch.save(program.module().state_dict(), state)
    texts = {
        "configs/metadata.json": json.dumps(_metadata(card, description), indent=1),
        "configs/inference.json": json.dumps(_inference(description, name), indent=1),
        "docs/README.md": README.format(
            name=name,
            task=f"Segmentation of {card.get('task') or 'an image'}",
            version=description["version"],
            use=description["intended_use"],
        ),
    }
    path = folder / f"{name}_v{version}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, text in texts.items():
            archive.writestr(f"{name}/{file}", text)
        for file, content in (("model.pt2", model), ("model.pt", state)):
            archive.writestr(f"{name}/models/{file}", content.getvalue(), zipfile.ZIP_STORED)
    return path


def _inference(description: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the configuration: MONAI's own transforms do the steps of the description."""
    side, names = description["side"], description["class_names"]
    steps = {step["step"]: step for step in description["preprocessing"]}
    single = any(step["step"] == "sigmoid" for step in description["postprocessing"])
    reader = {
        "_target_": "PILReader",
        "converter": "$lambda image: image.convert('RGB')",
        "reverse_indexing": False,
    }
    before = [
        {"_target_": "LoadImaged", "keys": "image", "reader": reader, "ensure_channel_first": True},
        {
            "_target_": "ScaleIntensityRanged",
            "keys": "image",
            "a_min": 0,
            "a_max": 255,
            "b_min": 0.0,
            "b_max": 1.0,
        },
        {
            "_target_": "Resized",
            "keys": "image",
            "spatial_size": side,
            "size_mode": "longest",
            "mode": "bilinear",
            "anti_aliasing": True,
        },
        {"_target_": "SpatialPadd", "keys": "image", "spatial_size": [side, side], "method": "end"},
    ]
    if "own_range" in steps:
        before.append({"_target_": "ScaleIntensityd", "keys": "image", "minv": 0.0, "maxv": 1.0})
    before.append(
        {
            "_target_": "NormalizeIntensityd",
            "keys": "image",
            "subtrahend": steps["normalise"]["mean"],
            "divisor": steps["normalise"]["std"],
            "channel_wise": True,
        }
    )
    chosen = {"threshold": 0.5} if single else {"argmax": True}
    after = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": single, "softmax": not single},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": False,
        },
        {"_target_": "AsDiscreted", "keys": "pred", **chosen},
        {"_target_": "Transposed", "keys": "pred", "indices": [0, 2, 1]},  # MONAI writes columns first
        {
            "_target_": "SaveImaged",
            "keys": "pred",
            "output_dir": "@output_dir",
            "output_ext": ".png",
            "output_postfix": "mask",
            "scale": 255 if single else None,
            "writer": "PILWriter",
            "separate_folder": False,
            "resample": False,
            "output_dtype": "$np.uint8",
        },
    ]
    return {
        **INFERENCE,
        # `monai.bundle.load` tells no configuration where its bundle lies: here, or in the folder of its name.
        "bundle_root": f"$'.' if Path('models/model.pt2').is_file() else '{name}'",
        "imports": [*INFERENCE["imports"], "$import numpy as np"],
        "class_names": names,
        "preprocessing": {"_target_": "Compose", "transforms": before},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': file} for file in @files]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": after},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "initialize": [],
        "run": ["$@evaluator.run()"],
    }


def _metadata(card: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    side, names = description["side"], description["class_names"]
    space = {"spatial_shape": [side, side], "dtype": "float32", "is_patch_data": False}
    return {
        "version": str(card["version"]),
        "changelog": {str(card["version"]): "exported"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"pillow": "10.3", "scikit-image": "0.26"},
        "name": str(card["name"]),
        "task": str(card.get("task") or "segmentation"),
        "description": f"Stage {card['name']} of monai-lora-sam with its adapters merged into the encoder.",
        "authors": "the users of monai-lora-sam who trained it",
        "copyright": "of those who trained it",
        "intended_use": description["intended_use"],
        "export": description,
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "intensity",
                    "modality": description["modality"],
                    "num_channels": 3,
                    "value_range": [],
                    "channel_def": {"0": "red", "1": "green", "2": "blue"},
                    **space,
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": len(names),
                    "value_range": [],
                    "channel_def": {str(number): name for number, name in enumerate(names)},
                    **space,
                }
            },
        },
    }
