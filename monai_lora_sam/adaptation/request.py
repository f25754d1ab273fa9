"""Hold and check the arguments of an adaptation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_lora_sam.workflows import bundle_settings

BUNDLE = "modality_adapter"
#: File of the bundle for a head that needs no prompt, and the keys that it has no use for.
AUTOMATIC = "automatic.yaml"
KEYS_OF_PROMPTS = ("prompts_per_image", "rounds", "iou_weight", "decoder", "decoder_lora")
#: That of the bundle: a fifteenth of LiteMedSAM's operations an image.
DEFAULT_ENCODER = "mini"
#: Keys of the bundle that an adaptation sets itself.
OWN_KEYS = ("dataset_dir", "datalist_file", "output_dir", "adapter_name", "bundle_root")


@dataclass(frozen=True)
class AdaptationRequest:
    """Hold the data, the base and the time of an adaptation.

    Attributes:
        images, masks: two folders; or a datalist, a Decathlon or COSMOS folder, and None.
        name: of the adapter: letters, digits, "-" and "_".
        out: folder to write.
        minutes: for everything.
        folds: number of parts for cross-validation; None for none.
        class_names, modality: of two folders.
        device: of the training; None for CUDA where there is one.
        automatic: train a head that needs no prompt.
        keys: of the bundle, which win over the plan, such as ``{"encoder_name": "medsam_lite", "lora::r": 4}``.

    Raises:
        ValueError: a name that cannot name an adapter, a time or a number of folds outside its range, an unknown key or
            value, or a key that the adaptation sets itself or that an automatic one has no use for.

    Example:
        >>> AdaptationRequest(Path("images"), Path("masks"), "liver_ct", Path("adapters/liver_ct")).minutes
        10.0
    """

    images: Path
    masks: Path | None
    name: str
    out: Path
    minutes: float = 10.0
    folds: int | None = None
    class_names: tuple[str, ...] = ()
    modality: str | None = None
    device: str | None = None
    automatic: bool = False
    keys: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w-]+", self.name, re.ASCII):
            raise ValueError(f"name: expected letters, digits, '-' and '_', found {self.name!r}")
        if not self.minutes > 0:
            raise ValueError(f"minutes: expected more than 0, found {self.minutes}")
        if self.folds is not None and self.folds < 2:
            raise ValueError(f"folds: expected 2 or more, found {self.folds}")
        for key in OWN_KEYS:
            if key in self.keys:
                raise ValueError(
                    f"--{key}: expected a key that is not set by IMAGES, --name or --out, found it"
                )
        for key in self.keys:
            if self.automatic and re.split("#|::", key)[0] in KEYS_OF_PROMPTS:
                raise ValueError(
                    f"--{key}: expected a key that an automatic adaptation has, found one of prompts"
                )
        bundle_settings(BUNDLE, self.configuration, dict(self.keys))

    @property
    def configuration(self) -> list[str]:
        """The files of the bundle, each laid over the ones before it."""
        return ["train.yaml", *([AUTOMATIC] if self.automatic else [])]

    @property
    def seed(self) -> int:
        """The seed of the bundle, which splits the data as well."""
        return int(self.keys.get("seed", 0))
