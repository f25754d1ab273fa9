"""Run this project's bundles from Python, with checked settings; run and measure child processes."""

from monai_lora_sam.workflows.bundles import (
    bundle_folder,
    bundle_settings,
    run_bundle,
    run_bundle_together,
    training_steps,
)
from monai_lora_sam.workflows.causes import cause_of
from monai_lora_sam.workflows.folder_lock import lock_folder, release_folder
from monai_lora_sam.workflows.measured_process import Usage, run_measured
from monai_lora_sam.workflows.settings import check_keys, checked_settings
from monai_lora_sam.workflows.values import check_value

__all__ = [
    "Usage",
    "bundle_folder",
    "bundle_settings",
    "cause_of",
    "check_keys",
    "check_value",
    "checked_settings",
    "lock_folder",
    "release_folder",
    "run_bundle",
    "run_bundle_together",
    "run_measured",
    "training_steps",
]
