"""Run one cell of the benchmark: a method on a data set, with a size, a budget and a seed."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_data import BenchmarkData
from benchmark_energy import EnergyMeter
from benchmark_methods import Method
from benchmark_scores import score_images
from PIL import Image

from monai_lora_sam.data import write_datalist
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import atomic_file, read_json
from monai_lora_sam.images import read_label
from monai_lora_sam.workflows import run_measured

sys.path.insert(
    0, str(Path(__file__).resolve().parents[1])
)  # the plug-ins are no part of the installed package
from plugins.nnunet import (
    NnunetRun,
    NnunetSettings,
    export_pictures,
    export_volumes,
    predicted_pictures,
    predicted_slices,
)

Tell = Callable[[str], object]
BATCH = 4  # images, of a stage unless --set has another


@dataclass(frozen=True)
class Common:
    """Hold the choices that all cells share."""

    encoder: str
    image_size: int | None
    device: str
    threads: int
    own_schedule: bool = False
    iterations: int = 25
    keys: Mapping[str, Any] = field(default_factory=dict)
    nnunet_commands: str | None = None
    energy: bool = False


@dataclass(frozen=True)
class BenchmarkRun:
    """Hold a cell, and train, predict and score it in a folder of its own.

    Args:
        data, method, size, minutes, seed: of the cell; minutes are the budget.
        common: choices of all cells.
        out: folder of all cells.
    """

    data: BenchmarkData
    method: Method
    size: int | str
    minutes: float
    seed: int
    common: Common
    out: Path

    @property
    def folder(self) -> Path:
        return self.out / "cells" / self.place

    @property
    def place(self) -> str:
        return f"{self.data.name}/{self.method.name}/{self.size}_cases_{self.minutes:g}_min/seed_{self.seed}"

    @property
    def about(self) -> dict[str, Any]:
        """The keys of this cell in tables."""
        return {
            "data": self.data.name,
            "method": self.method.name,
            "size": str(self.size),
            "budget_minutes": self.minutes,
            "seed": self.seed,
        }

    def check(self) -> None:
        """Refuse a cell that cannot run, and a folder of another configuration; train nothing."""
        self.data.draw(self.size, self.seed)
        if self.method.configuration == "3d_fullres" and not self.data.volumes:
            raise ValueError(
                f"{self.method.name}: expected a Decathlon folder with volumes, found {self.data.name}"
            )
        path = self.folder / "cell.json"
        if path.is_file() and (found := read_json(path)) != (now := self._identity()):
            changed = [
                f"{k} {found.get(k)} → {now.get(k)}" for k in {**found, **now} if found.get(k) != now.get(k)
            ]
            raise ValueError(
                f"{self.folder}: expected the configuration of the cell so far, found {', '.join(changed)} "
                "(give another --out)"
            )

    def result(self, tell: Tell = lambda line: None) -> dict[str, Any]:
        """Train what is left, predict, score, and return the figures of the cell; a finished cell is read."""
        done = self.folder / "result.json"
        if done.is_file():
            return read_json(done)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "cell.json", self._identity())
        drawn = self.data.draw(self.size, self.seed)
        meter = EnergyMeter() if self.common.energy else None
        figures = self._nnunet(drawn, tell) if self.method.is_nnunet else self._stage(drawn, tell)
        if meter is not None:
            figures["joules"] = meter.joules()
        predictions = self.folder / "predictions"
        cases = score_images(
            self.data.evaluation,
            lambda index: read_label(predictions / f"{index:05d}.png", max(len(self.data.class_names), 3)),
            self.data.class_names,
        )
        found = {
            **self.about,
            "images": len(drawn),
            "classes": len(self.data.class_names),
            "folder": str(Path("cells") / self.place),
            **figures,
            "cases": cases,
        }
        write_json(done, found)
        (self.folder / "error.txt").unlink(missing_ok=True)
        return found

    def _identity(self) -> dict[str, Any]:
        drawn = self.data.draw(self.size, self.seed)
        digests = [entry["digest"] for entry in (*drawn, *self.data.evaluation)]
        c = self.common
        return {
            **self.about,
            "images": hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:16],
            "image_size": c.image_size,
            "device": c.device,
            "encoder": c.encoder,
            "keys": dict(c.keys),
            "own_schedule": c.own_schedule,
            "iterations": c.iterations,
        }

    def _stage(self, drawn: list[dict[str, Any]], tell: Tell) -> dict[str, Any]:
        """Train and predict in a child process, which a crash or a lack of memory ends alone.

        Few images are listed several times, so that an epoch, after which the state is saved, has its iterations.
        """
        c, names = self.common, list(self.data.class_names)
        times = -(-c.iterations * c.keys.get("batch_size", BATCH) // len(drawn))
        datalist = write_datalist(
            self.folder / "datalist.json",
            name=self.data.name,
            task="segmentation",
            class_names=names,
            # A bundle validates; the one image that it gets chooses nothing, since the last state is scored.
            splits={"training": drawn * times, "validation": list(self.data.evaluation[:1])},
        )
        size = {} if c.image_size is None else {"image_size": c.image_size}
        overrides = {
            "dataset_dir": str(self.folder),
            "datalist_file": str(datalist),
            "output_dir": str(self.folder / "models"),
            "encoder_name": c.encoder,
            "pretrained": self.method.pretrained,
            "device": c.device,
            "seed": self.seed,
            "batch_size": BATCH,
            "show_progress": True,
            "class_names": names[1:] if len(names) == 2 else names,
            **size,
            **(self.method.keys or {}),
            **c.keys,
        }
        spec = {
            "overrides": overrides,
            "minutes": self.minutes,
            "threads": c.threads,
            "started": time.time(),
            "images": [entry["image"] for entry in self.data.evaluation],
        }
        write_json(self.folder / "spec.json", spec)
        script = Path(__file__).with_name("benchmark_cell.py")
        variables = {"OMP_NUM_THREADS": str(c.threads), "OMP_WAIT_POLICY": "PASSIVE"}
        command = [sys.executable, str(script), str(self.folder / "spec.json")]
        run_measured(command, variables, self.folder / "log.txt", tell)
        return read_json(self.folder / "child.json")

    def _nnunet(self, drawn: list[dict[str, Any]], tell: Tell) -> dict[str, Any]:
        c, folder, names = self.common, self.folder / "nnunet", list(self.data.class_names)
        raw, evaluation = folder / "nnUNet_raw", self.data.evaluation
        volumes = self.method.configuration == "3d_fullres"
        if volumes:
            parts = {"training": self.data.labelled_volumes(drawn)}
            parts["test"] = self.data.labelled_volumes(evaluation)
            dataset = export_volumes(parts, names, raw, self.data.name, modality=self.data.modality)
        else:
            dataset = export_pictures({"training": drawn, "test": evaluation}, names, raw, self.data.name)
        settings = NnunetSettings(
            configuration=self.method.configuration,
            planner=self.method.planner,
            minutes=None if c.own_schedule else self.minutes,
            clock="processor" if c.device == "cpu" else "wall",
            iterations=c.iterations,
            seed=self.seed,
            device=c.device,
            threads=c.threads,
        )
        run = NnunetRun(dataset, folder, settings, c.nnunet_commands)
        plan = run.plan(tell)
        trained = run.train(tell)
        started = time.perf_counter()
        out = run.predict("test", tell)
        seconds = (time.perf_counter() - started) / len(evaluation)
        masks: Iterator[np.ndarray] = (
            predicted_slices(dataset, "test", parts["test"], evaluation, out)
            if volumes
            else predicted_pictures(dataset, "test", evaluation, out)
        )
        for index, mask in enumerate(masks):
            with atomic_file(self.folder / "predictions" / f"{index:05d}.png") as temporary:
                Image.fromarray(mask).save(temporary)
        field_ = "cpu_seconds" if settings.clock == "processor" else "wall_seconds"
        training = trained.get("budget_seconds", trained[field_])
        patch = " × ".join(map(str, plan["patch_size"]))
        return {
            "minutes": (run.steps["plan_and_preprocess"][field_] + training) / 60,
            "iterations": trained.get("iterations"),
            "batch_size": plan["batch_size"],
            "plan": f"{settings.planner} planned patches of {patch} and batches of {plan['batch_size']}",
            "bytes": os.path.getsize(run.results / "checkpoint_final.pth"),
            "peak_bytes": max(step["peak_bytes"] for step in run.steps.values()),
            "peak_cuda_bytes": trained.get("peak_cuda_bytes"),
            "trainable_parameters": None,
            "seconds_per_image": seconds,
        }
