"""Train one cell of an ablation with one seed, and keep its figures."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablation_gradients import gradient_norms
from ablation_grid import Cell, Grid, own_configuration
from monai.utils import set_determinism

from monai_lora_sam.adapters import read_card
from monai_lora_sam.data import read_datalist, write_datalist
from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import read_json
from monai_lora_sam.handlers import read_history
from monai_lora_sam.workflows import bundle_settings, run_bundle

QUICK_IMAGES = 2  # of each split
#: Settings that a resumed run of a bundle may change. Those of a cell are compared, since they change its scores.
LENGTH = ("epochs", "patience", "val_interval")


class AblationRun:
    """Train a cell with one seed, in one training or several; keep the figures of finished ones in `run.json`.

    Args:
        grid: of the cell.
        cell: keys and trainings.
        seed: of all trainings.
        out: folder of all cells.
        quick: train on a few images alone.
    """

    def __init__(self, grid: Grid, cell: Cell, seed: int, out: Path, quick: bool = False) -> None:
        self.grid, self.cell, self.seed = grid, cell, seed
        self.folder = out / cell.folder / f"seed_{seed}"
        own = own_configuration(grid.bundle, grid.files)
        shared = {"show_progress": False, "feature_cache_dir": str(out / "feature_cache")}
        self.trainings: list[dict[str, Any]] = []
        for number, settings in enumerate(cell.phases, start=1):
            training = {key: value for key, value in shared.items() if key in own} | settings
            if quick and "datalist_file" in own:
                training["datalist_file"] = _short_datalists(training, out / "data")
            if number > 1:
                training["start_from"] = str(self.folder / f"phase_{number - 1}" / "last")
            self.trainings.append(
                training | {"output_dir": str(self.folder / f"phase_{number}"), "seed": seed}
            )

    def check(self) -> None:
        """Check keys and values of all trainings, and that trainings so far had the same ones; train nothing.

        Raises:
            ValueError: an unknown key, a value outside its range, no validation after the last epoch, or other settings
                than before; the cell or its folder is named.
        """
        self.settings = self._settings()
        if not self.note["phases"] and not (self.folder / "phase_1" / "training_state.pt").is_file():
            return  # nothing is trained yet
        before, now = _places(self.note["settings"]), _places(self.settings)
        changed = [
            f"{key} {before.get(key)} → {now.get(key)}"
            for key in {**before, **now}
            if before.get(key) != now.get(key)
        ]
        if changed:
            raise ValueError(
                f"{self.folder}: expected the settings of the run so far, found {', '.join(changed)} (give another "
                "--out, or delete the folder to train anew)"
            )

    def figures(self) -> dict[str, Any]:
        """Train what is left after `check`, and return the figures of the run."""
        note = {"settings": self.settings, "phases": self.note["phases"]}
        write_json(self.folder / "run.json", note)
        for training in self.trainings[len(note["phases"]) :]:
            note["phases"].append(self._train(training))
            write_json(self.folder / "run.json", note)
        (self.folder / "error.txt").unlink(missing_ok=True)
        sums = {
            key: round(sum(phase[key] for phase in note["phases"]), 1)
            for key in ("epochs", "seconds", "cpu_seconds")
        }
        return {**note["phases"][-1], **sums}

    @property
    def note(self) -> dict[str, Any]:
        """Settings of the trainings so far, and figures of the finished ones."""
        path = self.folder / "run.json"
        return read_json(path) if path.is_file() else {"settings": [], "phases": []}

    def _settings(self) -> list[dict[str, Any]]:
        """Return the settings of each training that its scores depend on."""
        result = []
        for number, training in enumerate(self.trainings):
            try:
                found = bundle_settings(self.grid.bundle, self.grid.configuration, training)
            except ValueError as error:
                raise ValueError(f"{self.cell.name}: {error}") from error
            settings = {**found["fixed"], **{key: found["free"][key] for key in LENGTH}}
            if settings["epochs"] % settings["val_interval"]:
                raise ValueError(
                    f"{self.cell.name}: expected epochs to be a multiple of val_interval, so that the last one is "
                    f"validated, found {settings['epochs']} and {settings['val_interval']}"
                )
            if number:
                del settings["start_from"]  # the training before, whose own settings are in the list
            result.append(settings)
        return result

    def _train(self, training: Mapping[str, Any]) -> dict[str, Any]:
        gc.collect()  # networks and images of the run before, which refer to each other
        try:
            workflow = run_bundle(self.grid.bundle, self.grid.configuration, training)
        finally:
            set_determinism(None)
        gradients = {}
        if self.grid.gradients:
            trainer = workflow.parser.get_parsed_content("train#trainer")
            gradients = {"gradients": gradient_norms(trainer, self.grid.gradients, self.seed)}
        groups = workflow.parser.get_parsed_content("optimizer").param_groups
        trained = [p for group in groups for p in group["params"] if p.requires_grad]
        folder = Path(training["output_dir"])
        history = read_history(folder / "history.jsonl")
        scores = {name: read_card(folder / name)["metrics"] for name in ("last", "best")}
        return {
            **{name: metrics[self.grid.score] for name, metrics in scores.items()},
            "metrics": scores["last"],
            "epochs": len(history),
            "trainable_parameters": sum(parameter.numel() for parameter in trained),
            "seconds": round(sum(line["seconds"] for line in history), 1),
            "cpu_seconds": round(sum(line["cpu_seconds"] for line in history), 1),
            "bytes": sum(file.stat().st_size for file in (folder / "last").iterdir()),
            "training_images": training_images(workflow) if self.grid.rank else None,
            **gradients,
        }


def training_images(workflow: Any) -> int:
    """Return the number of images that a bundle trained on."""
    return len(workflow.parser.get_parsed_content("data#training"))


def _places(phases: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the settings of all trainings by key, those after the first one with their number."""
    return {
        f"{key} of phase {number}" if number > 1 else key: value
        for number, settings in enumerate(phases, start=1)
        for key, value in settings.items()
    }


def _short_datalists(training: Mapping[str, Any], folder: Path) -> str | list[str]:
    """Write the first entries of each split of a training's datalists, and return the paths in their form."""
    given = training.get("datalist_file")
    if given is None:
        if "dataset_dir" not in training:
            raise ValueError(
                "dataset_dir: expected the folder of the data in the grid or by --set, found none"
            )
        given = Path(training["dataset_dir"]) / "datalist.json"
    if isinstance(given, list):
        return [_short_datalist(Path(path), folder) for path in given]
    return _short_datalist(Path(given), folder)


def _short_datalist(path: Path, folder: Path) -> str:
    content = read_datalist(path)
    splits = {split: content[split][:QUICK_IMAGES] for split in ("training", "validation")}
    for entry in (entry for entries in splits.values() for entry in entries):
        for (
            key,
            value,
        ) in entry.items():  # a path under a key of the data set's own is relative to its datalist
            if isinstance(value, str) and (path.parent / value).is_file():
                entry[key] = str((path.parent / value).resolve())
    about = {key: content.get(key) for key in ("name", "task", "class_names")}
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
    return str(write_datalist(folder / f"{path.stem}_{digest}.json", **about, splits=splits))
