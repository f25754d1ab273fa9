"""Inference that MONAI lacks, as its `Inferer`s: prompted segmentation of volumes slice by slice."""

from monai_lora_sam.inferers.slice_propagation import UNSEEN_LOGIT, SlicePropagationInferer

__all__ = ["UNSEEN_LOGIT", "SlicePropagationInferer"]
