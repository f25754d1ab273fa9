"""Coronary angiography: an application of the core, with its own networks, transforms, losses and metrics."""
