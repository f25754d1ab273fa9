"""Count the images of a run, and list those that failed."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from monai_lora_sam.files import atomic_file, atomic_write, read_json
from monai_lora_sam.prediction.run import MANIFEST, PredictionRun

FAILED, SUMMARY = "failed.csv", "summary.json"


@dataclass(frozen=True)
class RunSummary:
    """Count the images of a finished run.

    Attributes:
        images: of the index.
        done: with masks.
        failed: without, listed in :attr:`failed_file`.
        failed_file: `failed.csv` with id, path and error.
    """

    images: int
    done: int
    failed: int
    failed_file: Path


def summarise_run(run: PredictionRun) -> RunSummary:
    """Write `failed.csv` and `summary.json` of a run whose shards are all done.

    Raises:
        FileNotFoundError: a shard that is not done.
        ValueError: a manifest that is damaged, of another run, or without one of its images.
    """
    counts = {"done": 0, "failed": 0}
    with (
        atomic_file(run.out / FAILED) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file)
        table.writerow(["id", "path", "error"])
        for shard in range(run.shards):
            path = run.folder(shard) / MANIFEST
            manifest = read_json(path)
            rows, images = run.rows(shard), manifest.get("images") or []
            if manifest.get("run") != run.fingerprint or [one["id"] for one in images] != [
                r.id for r in rows
            ]:
                raise ValueError(
                    f"{path}: expected the manifest of shard {shard} of this run, with {len(rows)} images, found "
                    f"another with {len(images)}: remove its folder and run again"
                )
            for row, one in zip(rows, images, strict=True):
                counts[one["status"]] += 1
                if one["status"] == "failed":
                    table.writerow([row.id, row.path, one["error"]])
    summary = {"run": run.fingerprint, "images": len(run.index), "shards": run.shards, **counts}
    atomic_write(run.out / SUMMARY, json.dumps(summary, indent=1) + "\n")
    return RunSummary(len(run.index), counts["done"], counts["failed"], run.out / FAILED)
