"""Files and entry points of an installation."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import monai_lora_sam

REPOSITORY = Path(__file__).resolve().parents[1]


def test_every_package_is_listed():
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    found = {
        ".".join(file.parent.relative_to(REPOSITORY).parts)
        for file in (REPOSITORY / "monai_lora_sam").rglob("__init__.py")
    }
    assert listed == found | {"monai_lora_sam.bundles"}


def test_the_version_stands_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+", monai_lora_sam.__version__)
    setup = (REPOSITORY / "setup.cfg").read_text()
    assert "version = attr: monai_lora_sam.__version__" in setup
    # A pin of another package may have the same number.
    assert not re.search(rf"(?<!==){re.escape(monai_lora_sam.__version__)}", setup)


def test_importing_the_package_loads_no_torch():
    code = "import sys, monai_lora_sam.cli.main; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_wheel_holds_weights_bundles_and_templates(tmp_path: Path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, REPOSITORY], check=True
    )
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    for part in (
        "monai_lora_sam/assets/tiny/model.safetensors",
        "monai_lora_sam/assets/mini/model.safetensors",
        "monai_lora_sam/coronary/assets/stages/vessels/card.json",
        "monai_lora_sam/bundles/vessel_segmentation/configs/train.yaml",
        "monai_lora_sam/report/templates/page.html.j2",
        "monai_lora_sam/py.typed",
    ):
        assert part in names


def test_the_container_copies_what_the_installation_reads():
    lines = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = {name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]}
    let_through = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == {line[1:] for line in let_through if line.startswith("!")}
    assert all((REPOSITORY / name).exists() for name in copied)
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    read = {"setup.cfg", "pyproject.toml", setup["metadata"]["license_files"]}
    read |= {setup["metadata"]["long_description"].removeprefix("file: ")}
    read |= {name.split(".")[0] for name in setup["options"]["packages"].split()} | {"bundles"}
    assert copied == read
    extras = set(next(line for line in lines if ".[" in line).split("[")[1].split("]")[0].split(","))
    assert extras <= set(setup["options.extras_require"])
