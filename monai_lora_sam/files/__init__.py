"""Write files and folders so that a killed run leaves the old version or the new one, whole; read JSON. No torch."""

from monai_lora_sam.files.atomic import atomic_folder, current_folder, folder_moved_aside
from monai_lora_sam.files.map_ahead import map_ahead
from monai_lora_sam.files.places import check_output_file, check_output_folder, printable
from monai_lora_sam.files.read_json import content_sha256, parse_json, read_json, read_json_value
from monai_lora_sam.files.write import atomic_file, atomic_write

__all__ = [
    "atomic_file",
    "atomic_folder",
    "atomic_write",
    "check_output_file",
    "check_output_folder",
    "content_sha256",
    "current_folder",
    "folder_moved_aside",
    "map_ahead",
    "parse_json",
    "printable",
    "read_json",
    "read_json_value",
]
