"""Stand in for nnU-Net's commands: the same arguments, folders and files, a threshold in place of a network.

Each call is noted in calls.jsonl beside nnU-Net's folders. A training notes its checkpoint, and fails once where a file
"fail" lies there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
PLANS = {"ExperimentPlanner": "nnUNetPlans", "nnUNetPlannerResEncM": "nnUNetResEncUNetMPlans"}


def main() -> None:
    command, parser = Path(sys.argv[0]).name, argparse.ArgumentParser()
    results = Path(os.environ[RESULTS])
    note = {"command": command, "arguments": sys.argv[1:]}
    note["variables"] = {k: v for k, v in os.environ.items() if "nnunet" in k.lower() or k.startswith("OMP")}
    with (results.parent / "calls.jsonl").open("a") as stream:
        stream.write(json.dumps(note) + "\n")
    if command == "nnUNetv2_plan_and_preprocess":
        for option in ("-d", "-c", "-pl", "-npfp", "-np"):
            parser.add_argument(option)
        parser.add_argument("--no_pbar", action="store_true")
        given = parser.parse_args()
        folder = Path(os.environ[PREPROCESSED]) / data_set(given.d)
        folder.mkdir()
        plans = {"configurations": {"2d": {"batch_size": 2, "patch_size": [32, 40]}}}
        (folder / f"{PLANS[given.pl]}.json").write_text(json.dumps(plans))
    elif command == "nnUNetv2_train":
        for position in ("d", "c", "f"):
            parser.add_argument(position)
        for option in ("-tr", "-p", "-device"):
            parser.add_argument(option)
        parser.add_argument("--c", action="store_true", dest="again")
        given = parser.parse_args()
        folder = results / data_set(given.d) / f"{given.tr}__{given.p}__{given.c}" / f"fold_{given.f}"
        folder.mkdir(parents=True, exist_ok=True)
        print("progress: half", flush=True)
        (folder / "checkpoint_latest.pth").touch()
        if (results.parent / "fail").is_file():
            (results.parent / "fail").unlink()
            sys.exit("the network has burnt")
        (folder / "checkpoint_final.pth").write_bytes(b"x" * 1000)
        if given.tr == "nnUNetTrainerBudget":
            found = {"seconds": float(os.environ["MONAI_LORA_SAM_NNUNET_SECONDS"]) + 1, "iterations": 12}
            (folder / "budget.json").write_text(json.dumps(found))
    else:
        import numpy as np
        from PIL import Image

        for option in ("-d", "-i", "-o", "-f", "-tr", "-p", "-c", "-device", "-chk", "-npp", "-nps"):
            parser.add_argument(option)
        parser.add_argument("--disable_progress_bar", action="store_true")
        given = parser.parse_args()
        Path(given.o).mkdir(parents=True)
        for file in Path(given.i).iterdir():
            mask = (np.asarray(Image.open(file)) > 100).astype(np.uint8)
            Image.fromarray(mask).save(Path(given.o) / file.name.replace("_0000.png", ".png"))


def data_set(number: str) -> str:
    found = Path(os.environ[RAW]).glob(f"Dataset{int(number):03d}_*")
    return next(found).name


if __name__ == "__main__":
    main()
