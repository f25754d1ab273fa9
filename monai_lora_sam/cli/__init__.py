"""The command ``monai-lora-sam``: thin commands over the rooms of the package."""

from monai_lora_sam.cli.console import console, errors, one_line_errors, progress

__all__ = [
    "console",
    "errors",
    "one_line_errors",
    "progress",
]
