"""The command ``monai-lora-sam``: thin commands over the rooms of the package."""

from monai_lora_sam.cli.console import (
    check_json_file,
    console,
    console_beside,
    errors,
    one_line_errors,
    progress,
    write_json,
)
from monai_lora_sam.cli.prepare import DatalistFolder, tell_datalist

__all__ = [
    "DatalistFolder",
    "check_json_file",
    "console",
    "console_beside",
    "errors",
    "one_line_errors",
    "progress",
    "tell_datalist",
    "write_json",
]
