"""The names of the package itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

import monai_lora_sam
from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.images import read_image
from monai_lora_sam.workflows import run_bundle


def test_each_public_name_is_that_of_its_room():
    for name in monai_lora_sam.__all__:
        assert getattr(monai_lora_sam, name) is not None
    assert monai_lora_sam.AdapterStack is AdapterStack
    assert monai_lora_sam.read_image is read_image
    assert monai_lora_sam.run_bundle is run_bundle


def test_dir_lists_the_public_names():
    assert set(monai_lora_sam.__all__) <= set(dir(monai_lora_sam))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'monai_lora_sam' has no attribute 'build_encoders'"):
        _ = monai_lora_sam.build_encoders


def test_importing_the_package_loads_no_torch_and_no_room():
    code = (
        "import sys, monai_lora_sam; dir(monai_lora_sam)\n"
        "loaded = [name for name in sys.modules if name == 'torch' or name.startswith('monai_lora_sam.')]\n"
        "sys.exit(loaded or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
