"""The command ``monai-lora-sam``: thin commands over the rooms of the package."""
