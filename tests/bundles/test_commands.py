"""The documented commands run as they are printed; only paths, and what makes training short, are replaced."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forked import run_forked

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


def bundle_of(folder: Path, words: list[str]) -> str:
    """Return the bundle that a documented command runs."""
    files = words[words.index("--config_file") + 1]
    return next((one for one in BUNDLES if one in files), folder.name)


def with_paths(
    folder: Path, words: list[str], options: dict[str, dict[str, Any]], image: str, out: Path
) -> list[str]:
    """Replace the paths of a command by others, and make its training short."""
    given = dict(zip(words[2::2], words[3::2], strict=True))
    files = given["--config_file"]
    name = bundle_of(folder, words)
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


@pytest.mark.parametrize("name", BUNDLES)
def test_documented_commands_run(
    name: str, bundle_options: Callable[..., dict[str, Any]], pictures: Path, tmp_path: Path
):
    options = {name: bundle_options(name, tmp_path)} if name in TRAINED else {}
    (tmp_path / "study").mkdir()
    image = tmp_path / "study" / "4.png"
    image.write_bytes((pictures / "4.png").read_bytes())
    jobs = [
        (str(folder), ["monai.bundle", *with_paths(folder, words, options, str(image), tmp_path)[1:]])
        for folder, words in documented_commands()
        if bundle_of(folder, words) == name
    ]
    # Evaluation reads what training wrote, and so does inference where no network is shipped; the second phase goes on
    # from the first.
    jobs.sort(key=lambda job: [word in " ".join(job[1]) for word in ("evaluate.yaml", INFERRED, "--phase")])
    unique = {json.dumps(job): job for job in jobs}.values()
    for folder, words in unique:
        run_forked(words, tmp_path / "output.txt", Path(folder))
    if name in UNSHIPPED:
        assert (tmp_path / f"{name}_results" / "4" / "mask.png").is_file()
        return
    report = json.loads((tmp_path / f"{name}_results" / "4" / "report.json").read_text())
    if name == "coronary_pipeline":
        assert report["image"]["view"] == {"primary_deg": -30.0, "secondary_deg": 20.0}  # of the last command
        assert [row["stage"] for row in report["stages"]] == ["vessels", "segments", "stenosis"]
