"""Small, stackable LoRA adapters for Segment-Anything models, trained and run as MONAI bundles."""

__version__ = "0.1.0"
