"""Hold all that requests share: click engine, pipeline of the stages, images as they were read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from label_app.errors import Refused
from monai_lora_sam.coronary.pipeline import CoronaryPipeline, CoronaryResult, read_case
from monai_lora_sam.images import (
    detect_format,
    is_volume,
    number_of_frames,
    read_colour_image,
    read_dataset,
)
from monai_lora_sam.networks import choose_device
from monai_lora_sam.serving import ClickEngine, EmbeddingCache, NetworkPool, OfferedNetwork, SessionStore
from monai_lora_sam.stages import installed_folders

#: Entries of `--conf` and their defaults.
DEFAULTS: Mapping[str, str] = {
    "bases": "mini,medsam_lite",
    "adapters": "",
    "cache_mb": "512",
    "lease_minutes": "30",
    "sessions": "64",
    "device": "",
    "vessels": "",
    "segments": "",
    "stenosis": "",
    "weights": "",
    "image_size": "",
    "train_minutes": "10",
}
#: Vessel maps that are kept for traces: 1 MiB each at 512 x 512.
KEPT_MAPS = 16
#: Entries that MONAI Label itself reads or sets.
FOREIGN = ("server_mode",)


class ServingState:
    """Build engine and pipeline from the settings of the server, the pipeline when it is asked for first.

    Args:
        conf: entries of ``--conf NAME VALUE``; see `DEFAULTS`. ``weights`` and ``image_size`` are lists such as
            ``mini=FILE,medsam_lite=FILE``, by the encoder's name.
        adapters: folder of adapters where the settings name none.

    Raises:
        ValueError: an unknown entry, or a value outside its range.
    """

    def __init__(self, conf: Mapping[str, str], adapters: Path) -> None:
        if unknown := sorted(set(conf) - set(DEFAULTS) - set(FOREIGN)):
            raise ValueError(f"--conf: expected entries of {list(DEFAULTS)}, found {unknown}")
        self.settings = {**DEFAULTS, **{key: value for key, value in conf.items() if key in DEFAULTS}}
        bases = [name.strip() for name in self.settings["bases"].split(",") if name.strip()]
        sides = self._by_encoder("image_size")
        self.adapters = Path(self.settings["adapters"] or adapters)
        pool = NetworkPool(
            bases,
            self.adapters,
            installed=installed_folders(),
            weights=self._by_encoder("weights"),
            image_sizes={name: int(side) for name, side in sides.items()},
            device=self.settings["device"] or None,
        )
        cache = EmbeddingCache(int(self.settings["cache_mb"]) * 2**20)
        store = SessionStore(60 * float(self.settings["lease_minutes"]), int(self.settings["sessions"]))
        self.engine = ClickEngine(pool, cache, store)
        self._pipeline: CoronaryPipeline | None = None
        self._maps: OrderedDict[tuple[str, int, int], np.ndarray] = OrderedDict()  # used last at the end
        self._building, self._running = Lock(), Lock()

    def _by_encoder(self, entry: str) -> dict[str, str]:
        pairs = [pair.partition("=") for pair in self.settings[entry].split(",") if pair.strip()]
        if wrong := ["".join(pair) for pair in pairs if not (pair[0].strip() and pair[2].strip())]:
            raise ValueError(f"--conf {entry}: expected ENCODER=VALUE, found {wrong[0]!r}")
        return {name.strip(): value.strip() for name, _, value in pairs}

    @property
    def pipeline(self) -> CoronaryPipeline:
        """The stages, loaded once."""
        with self._building:
            if self._pipeline is None:
                stages = {name: self.settings[name] or None for name in ("vessels", "segments", "stenosis")}
                device = choose_device(self.settings["device"] or None)
                self._pipeline = CoronaryPipeline(**stages, device=device)
            return self._pipeline

    def analyse(self, path: str | Path) -> CoronaryResult:
        """Run all stages on an angiogram, one request at a time."""
        pipeline = self.pipeline
        with self._running:
            return pipeline(path)

    def kept_vessels(self, path: str | Path) -> np.ndarray:
        """Return the vessel map (H, W) of stage 1 and the refiner; the maps of the last images are kept."""
        path, pipeline = Path(path), self.pipeline
        facts = path.stat()
        key = (str(path), facts.st_mtime_ns, facts.st_size)
        with self._running:
            if key not in self._maps:
                self._maps[key] = pipeline.probability(read_case(path).angiogram)
            self._maps.move_to_end(key)
            while len(self._maps) > KEPT_MAPS:
                self._maps.popitem(last=False)
            return self._maps[key]

    def network_for(self, modality: str) -> OfferedNetwork:
        """Return the adapter of a modality ("CT", "MR", "US", ...), the newest by name where there are several.

        Raises:
            Refused: there is none.
        """
        offered = [one for one in self.engine.pool.offered() if one.error is None]
        fitting = [one for one in offered if one.modality.upper() == modality.upper() and one.modality]
        if not fitting:
            known = sorted({one.modality for one in offered if one.modality})
            raise Refused(f"expected an adapter of modality {modality!r:.20}, found adapters of {known}")
        return fitting[-1]


def reader_of(path: str | Path) -> Callable[[], np.ndarray]:
    """Return a function that reads the pixels (H, W, 3), 0 to 1, that clicks on a picture are about.

    Of a DICOM cine it is the frame that shows most of the vessels with the least motion.
    """
    return partial(read_pixels, Path(path))


def read_pixels(path: Path) -> np.ndarray:
    """Read a picture, or the best frame of a cine, as (H, W, 3) from 0 to 1."""
    if detect_format(path) == "DICOM" and number_of_frames(read_dataset(path)) > 1:
        return np.repeat(read_case(path).angiogram.pixels[..., None], 3, axis=2)
    return read_colour_image(path).pixels


def is_flat(path: str | Path) -> bool:
    """Return whether a file is a picture or a cine, and no volume."""
    return not Path(path).is_dir() and not is_volume(path)


def modality_of(path: str | Path) -> str:
    """Return the DICOM modality of an image, or "" where its file does not say."""
    path = Path(path)
    if path.is_file() and detect_format(path) == "DICOM":
        return str(read_dataset(path).get("Modality", ""))
    return ""


def plain(value: Any) -> Any:
    """Return a value as JSON holds it: NumPy's numbers become Python's, NaN becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        value = value.item()
    return None if isinstance(value, float) and value != value else value
