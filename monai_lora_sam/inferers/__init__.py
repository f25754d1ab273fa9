"""Inference that MONAI lacks, as its `Inferer`s: prompted volumes slice by slice, an image with its mirror image."""

from monai_lora_sam.inferers.mirror import MirrorInferer
from monai_lora_sam.inferers.slice_propagation import UNSEEN_LOGIT, SlicePropagationInferer

__all__ = ["UNSEEN_LOGIT", "MirrorInferer", "SlicePropagationInferer"]
