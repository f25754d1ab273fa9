"""A folder of predictions: its settings, its shards and which of them are done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from monai_lora_sam import __version__
from monai_lora_sam.adapters import open_adapter
from monai_lora_sam.files import atomic_write, check_output_folder, content_sha256, read_json
from monai_lora_sam.index import ImageIndex, IndexedImage
from monai_lora_sam.stages import find_stage, head_type

FORM = "prediction/1"
SETTINGS, MANIFEST, SHARDS, LOCKS = "run.json", "manifest.json", "shards", ".locks"
#: Images of a shard: at 4 images a second a killed worker loses at most a minute.
SHARD_SIZE = 256
#: Images of a shard at most: a manifest has to stay a file that is read at once.
LARGEST_SHARD = 10_000
#: Images that are looked for before a run begins.
LOOKED_FOR = 64


@dataclass(frozen=True)
class PredictionRun:
    """Hold what a worker needs to know about a run; another process rebuilds it from :attr:`arguments`.

    Attributes:
        index: the images.
        out: folder of the run.
        settings: content of its `run.json`.
    """

    index: ImageIndex
    out: Path
    settings: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the settings."""
        return content_sha256(self.settings)

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self.index) // self.settings["shard_size"])

    def limits(self, shard: int) -> tuple[int, int]:
        """Return the first row of a shard and the one after its last."""
        size = self.settings["shard_size"]
        return shard * size, min((shard + 1) * size, len(self.index))

    def rows(self, shard: int) -> list[IndexedImage]:
        """Return the images of a shard."""
        return self.index.rows(*self.limits(shard))

    def folder(self, shard: int) -> Path:
        """Return the folder of a shard's results; it is there when the shard is done, and then whole."""
        return self.out / SHARDS / f"{shard:07d}"

    def is_done(self, shard: int) -> bool:
        """Return whether a shard's results are there."""
        return (self.folder(shard) / MANIFEST).is_file()

    @contextmanager
    def claimed(self, shard: int, wait: bool) -> Iterator[bool]:
        """Hold a shard's lock while the block runs, and yield whether it is held and the shard still to do.

        The system gives the lock of a process back when it ends, however it ends. Where a file system has no locks,
        two workers may compute one shard; its results are renamed into place whole, so that they are the same.

        Args:
            shard: its number.
            wait: for another worker that holds it.
        """
        path = self.out / LOCKS / f"{shard:07d}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            lock.acquire(timeout=-1 if wait else 0, poll_interval=0.5)
        except Timeout:
            yield False
            return
        try:
            yield not self.is_done(shard)
        finally:
            # Another worker that waits for this file finds the shard done, or takes it over.
            if self.is_done(shard):
                path.unlink(missing_ok=True)
            lock.release()


def begin_run(
    index: str | Path,
    stage: str | Path,
    out: str | Path,
    *,
    prompts: str | Path | None = None,
    shard_size: int | None = None,
) -> PredictionRun:
    """Open the folder of a run, new or half done, and write its settings where it is new.

    Args:
        index: Parquet file of the images.
        stage: folder of a stage or adapter, or the name of an installed one.
        out: folder of the run.
        prompts: JSON file with prompts for each image, see :func:`monai_lora_sam.prompting.read_prompts`.
        shard_size: images of a shard; by default that of the run, or 256.

    Raises:
        FileNotFoundError: no such index or stage, or none of the first images of the index is there.
        ValueError: another index, stage, prompts, shard size or version than the folder was begun with, or a folder
            with something else in it, or a stage that needs prompts.

    Example:
        >>> run = begin_run("images.parquet", "models/vessels/best", "predictions")  # doctest: +SKIP
        >>> run.shards  # doctest: +SKIP
        3907
    """
    check_output_folder(out)
    out = Path(out)
    images = ImageIndex(index)
    saved = open_adapter(find_stage(stage))
    if prompts is None and head_type(saved) == "prompts":
        raise ValueError(f"{saved.folder}: expected prompts for this stage (--prompts), found none")
    settings: dict[str, Any] = {
        "form": FORM,
        "version": __version__,
        "index": images.fingerprint,
        "images": len(images),
        "stage": {"name": saved.card["name"], "digest": saved.card["digest"]},
        "encoder": saved.card["encoder"]["fingerprint"],
        "prompts": None if prompts is None else content_sha256(read_json(prompts)),
        "shard_size": SHARD_SIZE if shard_size is None else shard_size,
    }
    if not 1 <= settings["shard_size"] <= LARGEST_SHARD:
        raise ValueError(f"shard size: expected 1 to {LARGEST_SHARD} images, found {shard_size}")
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / ".run.lock"):
        if (out / SETTINGS).is_file():
            begun = read_json(out / SETTINGS)
            if shard_size is None and isinstance(begun.get("shard_size"), int):
                settings["shard_size"] = begun["shard_size"]
            _check_same(out, begun, settings)
        else:
            others = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
            if others:
                raise ValueError(f"{out}: expected a new folder or one of predictions, found {others[:5]}")
            _check_there(images)
            atomic_write(out / SETTINGS, json.dumps(settings, indent=1) + "\n")
    return PredictionRun(images, out, settings)


def _check_same(out: Path, begun: dict[str, Any], settings: dict[str, Any]) -> None:
    for key, value in settings.items():
        if begun.get(key) != value:
            raise ValueError(
                f"{out}: expected the {key.replace('_', ' ')} with which these predictions were begun, "
                f"{begun.get(key)!r}, found {value!r}: go on with that, or give another folder"
            )


def _check_there(images: ImageIndex) -> None:
    """Refuse an index whose first images are all gone, as where a disk is not mounted."""
    first = images.rows(0, min(LOOKED_FOR, len(images)))
    if not any(Path(row.path).exists() for row in first):
        raise FileNotFoundError(
            f"{images.path}: expected the images that it lists, found none of the first {len(first)}: {first[0].path}"
        )
