"""Plan, preprocess, train and predict by nnU-Net's own commands, in a folder that is resumable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from monai_lora_sam.data.datalist import write_json
from monai_lora_sam.files import read_json
from monai_lora_sam.workflows import run_measured
from plugins.nnunet.dataset import NnunetDataset
from plugins.nnunet.find_command import find_command

TRAINERS = Path(__file__).resolve().parent / "trainers"
PREFIX = "MONAI_LORA_SAM_NNUNET_"
#: Planner → name of the plans that it writes.
PLANS = {
    "ExperimentPlanner": "nnUNetPlans",
    "nnUNetPlannerResEncM": "nnUNetResEncUNetMPlans",
    "nnUNetPlannerResEncL": "nnUNetResEncUNetLPlans",
}
#: Trainer of nnU-Net's own schedule: 1000 epochs of 250 iterations.
OWN_TRAINER = "nnUNetTrainer"
CLOCKS = ("processor", "wall")

Tell = Callable[[str], object]


@dataclass(frozen=True)
class NnunetSettings:
    """Hold the choices of a run.

    Attributes:
        configuration: "2d" or "3d_fullres".
        planner: one of ``PLANS``. The default planner caps a batch at 5 % of the data set's pixels, at least 2 images.
        minutes: budget of planning, preprocessing and training together; None for a number of epochs.
        clock: "processor" counts processor minutes of all threads, "wall" minutes (of a GPU) by the clock.
        epochs: without a budget; None with neither: nnU-Net's own schedule.
        iterations: of an epoch; unused by nnU-Net's own schedule.
        seed: of network, order of images and augmentation.
        device: "cpu", "cuda" or "mps".
        threads: of PyTorch on the CPU, or processes of augmentation on a GPU.

    Raises:
        ValueError: a value outside its range, or a budget and a number of epochs together.
    """

    configuration: str = "2d"
    planner: str = "ExperimentPlanner"
    minutes: float | None = None
    clock: str = "processor"
    epochs: int | None = None
    iterations: int = 25
    seed: int = 0
    device: str = "cpu"
    threads: int = 1

    def __post_init__(self) -> None:
        for name, value, known in (
            ("planner", self.planner, tuple(PLANS)),
            ("clock", self.clock, CLOCKS),
            ("configuration", self.configuration, ("2d", "3d_fullres")),
            ("device", self.device, ("cpu", "cuda", "mps")),
        ):
            if value not in known:
                raise ValueError(f"{name}: expected one of {known}, found {value!r}")
        for name, number in (
            ("minutes", self.minutes),
            ("epochs", self.epochs),
            ("iterations", self.iterations),
            ("threads", self.threads),
        ):
            if number is not None and not number > 0:
                raise ValueError(f"{name}: expected a positive number, found {number}")
        if self.minutes is not None and self.epochs is not None:
            raise ValueError(
                f"expected minutes or epochs, found {self.minutes} minutes and {self.epochs} epochs"
            )

    @property
    def trainer(self) -> str:
        """Name of nnU-Net's or this project's trainer."""
        if self.minutes is not None:
            return "nnUNetTrainerBudget"
        return OWN_TRAINER if self.epochs is None else "nnUNetTrainerShort"

    @property
    def plans(self) -> str:
        """Name of the plans."""
        return PLANS[self.planner]


class NnunetRun:
    """Train nnU-Net on an exported data set, in a folder of its own.

    The folder holds nnU-Net's three (``nnUNet_raw`` with the data set, ``nnUNet_preprocessed``, ``nnUNet_results``),
    ``log.txt`` and ``run.json``. Environment variables are set for the child processes alone. A finished step is not
    repeated; a killed training goes on from its last checkpoint. Without validation cases nnU-Net trains its fold
    "all"; else fold 0 of the data set's own split.

    Args:
        dataset: below ``folder/nnUNet_raw``.
        folder: of the run.
        settings: of the run.
        commands: folder of nnU-Net's commands, where it is installed in another environment.

    Raises:
        ValueError: the folder belongs to a run of another data set or other settings, or the data set lies elsewhere.

    Example:
        >>> dataset = export_pictures(splits, names, "run/nnUNet_raw", "arcade")  # doctest: +SKIP
        >>> run = NnunetRun(dataset, "run", NnunetSettings(minutes=30))  # doctest: +SKIP
        >>> run.train(print)  # doctest: +SKIP
        >>> masks = predicted_pictures(dataset, "test", splits["test"], run.predict("test"))  # doctest: +SKIP
    """

    def __init__(
        self,
        dataset: NnunetDataset,
        folder: str | Path,
        settings: NnunetSettings,
        commands: str | Path | None = None,
    ) -> None:
        self.dataset, self.folder, self.settings = dataset, Path(folder).resolve(), settings
        self.commands = commands
        if dataset.folder.resolve().parent != self.folder / "nnUNet_raw":
            raise ValueError(f"{dataset.folder}: expected the data set below {self.folder / 'nnUNet_raw'}")
        identity = {"dataset": dataset.identity, **asdict(settings)}
        self.note: dict[str, Any] = {"identity": identity, "steps": {}}
        if (self.folder / "run.json").is_file():
            self.note = read_json(self.folder / "run.json")
            found = self.note["identity"]
            changed = [f"{k} {found.get(k)} → {v}" for k, v in identity.items() if found.get(k) != v]
            if changed:
                raise ValueError(
                    f"{self.folder}: expected the configuration of the run so far, found {', '.join(changed)} "
                    "(give another folder)"
                )
        else:
            write_json(self.folder / "run.json", self.note)

    @property
    def steps(self) -> dict[str, dict[str, float]]:
        """Processor and clock seconds and peak memory of the finished steps."""
        return self.note["steps"]

    @property
    def fold(self) -> str:
        return "0" if self.dataset.cases["validation"] else "all"

    @property
    def results(self) -> Path:
        """Folder of nnU-Net's results of this run."""
        s = self.settings
        name = f"{s.trainer}__{s.plans}__{s.configuration}"
        return self.folder / "nnUNet_results" / self.dataset.folder.name / name / f"fold_{self.fold}"

    @property
    def preprocessed(self) -> Path:
        return self.folder / "nnUNet_preprocessed" / self.dataset.folder.name

    def plan(self, tell: Tell = lambda line: None) -> dict[str, Any]:
        """Plan and preprocess, write the split, and return nnU-Net's plans of the configuration."""
        s = self.settings
        arguments = ["-d", str(self.dataset.number), "-c", s.configuration, "-pl", s.planner]
        arguments += ["-npfp", "1", "-np", "1", "--no_pbar"]
        variables = {"nnUNet_n_proc_DA": "1"}  # planning fails with 0
        self._step("plan_and_preprocess", "nnUNetv2_plan_and_preprocess", arguments, variables, tell)
        if self.dataset.cases["validation"]:
            (self.preprocessed / "splits_final.json").write_text(json.dumps(self.dataset.splits, indent=1))
        path = self.preprocessed / f"{s.plans}.json"
        found = read_json(path)["configurations"]
        if s.configuration not in found:
            raise ValueError(f"{path}: expected the configuration {s.configuration!r}, found {sorted(found)}")
        return found[s.configuration]

    def train(self, tell: Tell = lambda line: None) -> dict[str, float]:
        """Plan and preprocess where that is left to do, train, and return the figures of the training step.

        Raises:
            ValueError: planning and preprocessing have spent the whole budget.
            RuntimeError: one of nnU-Net's commands failed.
        """
        self.plan(tell)
        s = self.settings
        variables = {
            "nnUNet_n_proc_DA": str(s.threads if s.device == "cuda" else 0),
            f"{PREFIX}SEED": str(s.seed),
            f"{PREFIX}THREADS": str(s.threads),
            f"{PREFIX}ITERATIONS": str(s.iterations),
            f"{PREFIX}STARTED": str(time.time()),
            f"{PREFIX}CLOCK": s.clock,
        }
        if s.epochs is not None:
            variables[f"{PREFIX}EPOCHS"] = str(s.epochs)
        if s.minutes is not None:
            before = self.steps["plan_and_preprocess"]
            left = 60 * s.minutes - before["cpu_seconds" if s.clock == "processor" else "wall_seconds"]
            if left <= 0:
                raise ValueError(
                    f"{self.folder}: expected a budget above {s.minutes} minutes, found it spent before training"
                )
            variables[f"{PREFIX}SECONDS"] = str(left)
        begun = any(self.results.glob("checkpoint_*.pth"))
        arguments = [str(self.dataset.number), s.configuration, self.fold]
        arguments += ["-tr", s.trainer, "-p", s.plans, "-device", s.device, *["--c"] * begun]
        self._step("train", "nnUNetv2_train", arguments, variables, tell)
        if (self.results / "budget.json").is_file():
            found = read_json(self.results / "budget.json")
            self.steps["train"] |= {key: found[key] for key in found if key != "seconds"}
            self.steps["train"]["budget_seconds"] = found["seconds"]
            write_json(self.folder / "run.json", self.note)
        return self.steps["train"]

    def predict(self, split: str, tell: Tell = lambda line: None) -> Path:
        """Predict the cases of a split with the last checkpoint, and return the folder of the predictions."""
        s, out = self.settings, self.folder / "predictions" / split
        source = self._images(split)
        arguments = ["-d", str(self.dataset.number), "-i", str(source), "-o", str(out), "-f", self.fold]
        arguments += ["-tr", s.trainer, "-p", s.plans, "-c", s.configuration, "-device", s.device]
        arguments += ["-chk", "checkpoint_final.pth", "-npp", "1", "-nps", "1", "--disable_progress_bar"]
        self._step(f"predict_{split}", "nnUNetv2_predict", arguments, {}, tell)
        return out

    def _images(self, split: str) -> Path:
        """Return a folder with the images of one split alone: training and validation share one of nnU-Net's."""
        if split == "test":
            return self.dataset.folder / "imagesTs"
        folder = self.folder / "inputs" / split
        folder.mkdir(parents=True, exist_ok=True)
        for case in self.dataset.cases[split]:
            name = f"{case}_0000{self.dataset.ending}"
            if not (folder / name).exists():
                os.link(self.dataset.folder / "imagesTr" / name, folder / name)
        return folder

    def _step(
        self, name: str, command: str, arguments: list[str], variables: dict[str, str], tell: Tell
    ) -> None:
        if name in self.steps:
            return
        shared = {
            **{
                part: str(self.folder / part)
                for part in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
            },
            "nnUNet_extTrainer": str(TRAINERS),
            "nnUNet_compile": "t" if self.settings.device == "cuda" else "f",
            "nnUNet_def_n_proc": "2",
            "OMP_NUM_THREADS": str(self.settings.threads if self.settings.device == "cpu" else 1),
        }
        for part in ("nnUNet_preprocessed", "nnUNet_results"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        program = find_command(command, self.commands)
        usage = run_measured([program, *arguments], shared | variables, self.folder / "log.txt", tell)
        self.steps[name] = asdict(usage)
        write_json(self.folder / "run.json", self.note)
