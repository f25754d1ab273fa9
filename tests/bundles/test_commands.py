"""The documented commands run as they are printed; only paths, and what makes training short, are replaced."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from monai_lora_sam.coronary.stages import SHIPPED, SHIPPED_DIAMETER_NETWORK, SHIPPED_REFINER
from monai_lora_sam.workflows import bundle_folder

#: Shipped networks of the trained bundles.
STAGES = {
    "vessel_segmentation": SHIPPED / "vessels",
    "segment_classification": SHIPPED / "segments",
    "stenosis_detection": SHIPPED / "stenosis",
    "lumen_refinement": SHIPPED_REFINER,
    "lumen_diameter": SHIPPED_DIAMETER_NETWORK,
}
DISTILLATION = "minisam_distillation"
#: Bundles that ship no network: their commands read what their training wrote.
UNSHIPPED = (DISTILLATION, "modality_adapter")
INFERRED = "configs/inference.yaml --stage_folder"
TRAINED = (*STAGES, *UNSHIPPED)
BUNDLES = (*TRAINED, "coronary_pipeline")
REPOSITORY = Path(__file__).resolve().parents[2]
SHORT = {"epochs": 1, "batch_size": 2, "device": "cpu", "show_progress": False}
#: Settings of a test's training that also shorten a documented command.
SHORTENING = (
    "image_size",
    "phantoms",
    "held_out",
    "phantom_seed",
    "features",
    "crop_window",
    "crop_side",
    "along",
)
SHORTENING += ("crops_per_epoch", "teacher_name", "teacher_weights", "teacher_image_size", "student_weights")

#: Run commands one after another as `python -m` does, in one process: its imports take longer than most commands.
RUNNER = """
import json, os, runpy, sys
for folder, arguments in json.load(sys.stdin):
    print("$", folder, *arguments, file=sys.stderr, flush=True)
    os.chdir(folder)
    sys.argv = arguments
    try:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if stop.code:
            raise
"""


def documented_commands() -> Iterator[tuple[Path, list[str]]]:
    """Yield the folder and the words of each documented command, but those of several processes and gated weights."""
    pages = [(REPOSITORY, REPOSITORY / "README.md"), (REPOSITORY, REPOSITORY / "docs" / "training.md")]
    for name in BUNDLES:
        folder = bundle_folder(name)
        pages += [(folder, path) for path in sorted(folder.glob("configs/*.yaml"))]
        pages += [(folder, folder / "docs" / "README.md")]
    for folder, page in pages:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^[ #]*(python -m monai\.bundle .*)$", text, re.MULTILINE):
            words = shlex.split(line)
            if "sam3" not in words:
                yield folder, words[2:]


def with_paths(
    folder: Path, words: list[str], options: dict[str, dict[str, Any]], image: str, out: Path
) -> list[str]:
    """Replace the paths of a command by others, and make its training short."""
    given = dict(zip(words[2::2], words[3::2], strict=True))
    files = given["--config_file"]
    name = next((one for one in BUNDLES if one in files), folder.name)
    if "inference.yaml" in files:
        one = Path(image) if given["--dataset_dir"].endswith(".png") else Path(image).parent
        given |= {"--dataset_dir": str(one), "--device": "cpu"}
        if name in UNSHIPPED:
            given["--stage_folder"] = _own(name, given["--stage_folder"], out)
        elif "--stage_folder" in given:
            given["--stage_folder"] = str(STAGES[name])
        given["--output_dir"] = str(out / f"{name}_results")
    else:
        given["--dataset_dir"] = options[name]["dataset_dir"]
        short = {key: value for key, value in options[name].items() if key in SHORTENING} | SHORT
        if name == "vessel_segmentation":  # its own base takes no side of 56 pixels
            short |= {key: options[name][key] for key in ("encoder_name", "pretrained")}
        given |= {f"--{key}": str(value) for key, value in short.items()}
        cached = "_cached" if given.get("--feature_cache") == "True" else ""
        given["--output_dir"] = str(out / (name + "_" + given.get("--strategy", "default") + cached))
        given |= {f"--{key}": str(SHIPPED / key) for key in ("vessels", "segments") if f"--{key}" in given}
        if name in UNSHIPPED:
            asked = dict(zip(words[2::2], words[3::2], strict=True))
            given["--output_dir"] = _own(name, asked.get("--output_dir", "models"), out)
            for key in ("--start_from", "--feature_cache_dir"):
                given |= {key: _own(name, asked[key], out)} if key in asked else {}
    return [*words[:2], *(word for pair in given.items() for word in pair)]


def _own(name: str, path: str, out: Path) -> str:
    """Return where the test keeps a folder of a documented training that ships no network."""
    return str(out / name / path)


def test_commands_are_found():
    found = [(folder.name, " ".join(words)) for folder, words in documented_commands()]
    assert len(found) >= 15
    for name in BUNDLES:
        assert any(folder == name and "inference.yaml" in line for folder, line in found)


def test_documented_commands_run(
    bundle_options: Callable[..., dict[str, Any]], pictures: Path, tmp_path: Path
):
    options = {name: bundle_options(name, tmp_path) for name in TRAINED}
    (tmp_path / "study").mkdir()
    image = tmp_path / "study" / "4.png"
    image.write_bytes((pictures / "4.png").read_bytes())
    jobs = [
        (str(folder), ["monai.bundle", *with_paths(folder, words, options, str(image), tmp_path)[1:]])
        for folder, words in documented_commands()
    ]
    # Evaluation reads what training wrote, and so does inference where no network is shipped; the second phase goes on
    # from the first.
    jobs.sort(key=lambda job: [word in " ".join(job[1]) for word in ("evaluate.yaml", INFERRED, "--phase")])
    unique = list({json.dumps(job): job for job in jobs}.values())
    path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input=json.dumps(unique),
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    for name in UNSHIPPED:
        assert (tmp_path / f"{name}_results" / "4" / "mask.png").is_file()
    for name in (*STAGES, "coronary_pipeline"):
        report = json.loads((tmp_path / f"{name}_results" / "4" / "report.json").read_text())
    assert report["image"]["view"] == {"primary_deg": -30.0, "secondary_deg": 20.0}  # of the last command
    assert [row["stage"] for row in report["stages"]] == ["vessels", "segments", "stenosis"]
