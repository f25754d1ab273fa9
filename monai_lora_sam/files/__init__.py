"""Write files and folders so that a killed run leaves the old version or the new one, whole; read JSON. No torch."""

from monai_lora_sam.files.atomic import atomic_folder, recover_folder
from monai_lora_sam.files.places import check_output_file, check_output_folder
from monai_lora_sam.files.read_json import read_json
from monai_lora_sam.files.write import atomic_file, atomic_write

__all__ = [
    "atomic_file",
    "atomic_folder",
    "atomic_write",
    "check_output_file",
    "check_output_folder",
    "read_json",
    "recover_folder",
]
