"""Predict one shard: the one function that every engine runs."""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_lora_sam.files import atomic_folder, atomic_write, map_ahead, printable
from monai_lora_sam.images import read_colour_image
from monai_lora_sam.index import IndexedImage
from monai_lora_sam.prediction.predictor import StagePredictor
from monai_lora_sam.prediction.run import MANIFEST, PredictionRun
from monai_lora_sam.prompting import write_objects

FORM = "shard/1"
#: Threads that read images, and that write masks, beside the one that runs the network.
READERS, WRITERS = 3, 2
#: Images that are read ahead of the network, and that wait behind it to be written.
AHEAD, BEHIND = 8, 8


@dataclass(frozen=True)
class ShardReport:
    """Hold where the time of a shard went, in seconds.

    Attributes:
        total: from start to end.
        network: the network ran.
        for_images: the network waited for an image to be read.
        for_files: it waited for results to be written.
        images: how many.
        failed: how many of them could not be predicted.
    """

    total: float
    network: float
    for_images: float
    for_files: float
    images: int
    failed: int


def run_shard(
    run: PredictionRun,
    shard: int,
    predictor: StagePredictor,
    tell: Callable[[int], Any] = lambda done: None,
) -> ShardReport:
    """Predict the images of one shard and put its folder in place, whole, with a manifest.

    Images are read and checked in threads ahead of the network, and masks written in threads behind it. An image that
    cannot be read, has changed since it was listed or cannot be predicted gets its error into the manifest.

    Args:
        run: the images and the folder.
        shard: its number.
        predictor: the network.
        tell: called with the number of images done.

    Returns:
        Where the time went.

    Raises:
        OSError: the results cannot be written.
        RuntimeError: the accelerator failed.
    """
    rows, first = run.rows(shard), run.limits(shard)[0]
    entries: list[dict[str, Any]] = []
    spent = dict.fromkeys(("network", "for_images", "for_files"), 0.0)
    began = time.perf_counter()

    with atomic_folder(run.folder(shard)) as folder, ThreadPoolExecutor(WRITERS) as writers:
        writing: deque[Future[Any]] = deque()
        images = map_ahead(_read, rows, READERS, AHEAD)
        for number, row in enumerate(rows):
            start = time.perf_counter()
            pixels = next(images)
            read = time.perf_counter()
            name = f"{first + number:09d}"
            entry: dict[str, Any] = {"id": row.id, "hash": row.hash, "status": "done", "folder": name}
            if isinstance(pixels, np.ndarray):
                try:
                    found = predictor(pixels)
                except Exception as error:
                    if isinstance(error, torch.AcceleratorError):  # it fails for all images from now on
                        raise
                    pixels = f"{row.path}: {error}"
            predicted = time.perf_counter()
            if isinstance(pixels, np.ndarray):
                record = {**predictor.made_by(Path(row.path).name), "id": printable(row.id)}
                writing.append(
                    writers.submit(write_objects, folder / name, pixels, found, record, overlay=False)
                )
            else:
                del entry["folder"]
                entry |= {"status": "failed", "error": printable(pixels)}
            while len(writing) > BEHIND:
                writing.popleft().result()
            entries.append(entry)
            spent["for_images"] += read - start
            spent["network"] += predicted - read
            spent["for_files"] += time.perf_counter() - predicted
            tell(number + 1)
        start = time.perf_counter()
        for one in writing:
            one.result()
        spent["for_files"] += time.perf_counter() - start
        failed = sum(entry["status"] == "failed" for entry in entries)
        report = ShardReport(time.perf_counter() - began, **spent, images=len(rows), failed=failed)
        manifest = {
            "form": FORM,
            "shard": shard,
            "rows": list(run.limits(shard)),
            "run": run.fingerprint,
            "settings": run.settings,
            "device": predictor.device,
            "seconds": {
                key: round(value, 3) for key, value in asdict(report).items() if isinstance(value, float)
            },
            "images": entries,
        }
        atomic_write(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    return report


def _read(row: IndexedImage) -> np.ndarray | str:
    """Return the pixels (H, W, 3) of an image, or why there are none."""
    try:
        if row.hash is not None:
            with open(row.path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != row.hash:
                raise ValueError(
                    f"{row.path}: expected the file that was listed (SHA-256 {row.hash:.12}…), found another "
                    f"({digest:.12}…)"
                )
        return read_colour_image(row.path).pixels
    except FileNotFoundError:
        return f"{row.path}: expected an image, found nothing"
    except Exception as error:  # damaged files raise errors of many types; each is kept
        text = " ".join(str(error).split())
        return text if text.startswith(str(row.path)) else f"{row.path}: {text or type(error).__name__}"
