"""Data sets as MONAI datalists, and synthetic angiograms with exact truth."""
