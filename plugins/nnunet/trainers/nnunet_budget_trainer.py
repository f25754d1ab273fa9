"""Trainers that nnU-Net finds by `nnUNet_extTrainer`: short epochs, and a fixed time in place of a number of epochs.

nnU-Net's commands take no such settings, so the driver hands them over in environment variables of the child process.
This file is read by nnU-Net's Python and imports nothing of this project.
"""

import json
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

PREFIX = "MONAI_LORA_SAM_NNUNET_"
#: Seconds of training between two checkpoints, from which a killed run goes on.
SAVE_INTERVAL_S = 60


def setting(name, default=None):
    """Return a setting of the driver, or a default; without one the driver has to give it."""
    value = os.environ.get(PREFIX + name, default)
    if value is None:
        raise RuntimeError(
            f"expected the environment variable {PREFIX + name}, which the driver sets; found none"
        )
    return value


class nnUNetTrainerShort(nnUNetTrainer):
    """Train by nnU-Net's rules for a given number of epochs of a given number of iterations, from a given seed.

    The best checkpoint, its plots and the validation after training are left out: the last state is predicted with,
    and the caller scores it as every other method.
    """

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        seed = int(setting("SEED"))
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  # the generator that nnU-Net's augmentation draws from
        torch.manual_seed(seed)
        super().__init__(plans, configuration, fold, dataset_json, device)
        if self.device.type == "cpu":  # nnU-Net's command takes every core
            torch.set_num_threads(int(setting("THREADS")))
        self.num_iterations_per_epoch = int(setting("ITERATIONS"))
        self.num_val_iterations_per_epoch = 1
        self.num_epochs = int(setting("EPOCHS", "1000"))
        self.save_every = 10**9  # by time, see below
        self.last_saved = time.monotonic()
        self.logger.plot_progress_png = lambda folder: None  # seconds for each epoch

    def on_epoch_end(self):
        super().on_epoch_end()
        self.tell()
        if time.monotonic() - self.last_saved >= SAVE_INTERVAL_S and self.current_epoch < self.num_epochs:
            self.current_epoch -= 1  # save_checkpoint counts the epoch that has just ended itself
            self.save_checkpoint(os.path.join(self.output_folder, "checkpoint_latest.pth"))
            self.current_epoch += 1
            self.last_saved = time.monotonic()

    def tell(self):
        print(f"progress: epoch {self.current_epoch} of {self.num_epochs}", flush=True)

    def save_checkpoint(self, filename):
        if os.path.basename(filename) != "checkpoint_best.pth":
            super().save_checkpoint(filename)

    def perform_actual_validation(self, save_probabilities=False):
        print("validation after training: left out", flush=True)


class _RateOverBudget(PolyLRScheduler):
    """Lower the rate as nnU-Net does, over the share of the budget that is spent."""

    def __init__(self, optimizer, initial_lr, share):
        self.share = share
        super().__init__(optimizer, initial_lr, max_steps=1)

    def step(self, current_step=None):
        super().step(min(self.share(), 0.999))


class nnUNetTrainerBudget(nnUNetTrainerShort):
    """Train until a time is spent: processor seconds of this process, or seconds since its start.

    The start of Python, loading of data and every earlier attempt up to its last checkpoint count. The step at which
    the time ends is the last one; at least one is made.
    """

    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):  # noqa: B008
        self.budget = float(setting("SECONDS"))
        self.clock = setting("CLOCK")
        self.earlier, self.iterations = 0.0, 0
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = 10**6
        self.spent_file = Path(self.output_folder) / "budget.json"

    def spent(self):
        """Return the seconds spent so far, earlier attempts included."""
        if self.clock == "processor":
            return self.earlier + time.process_time()
        return self.earlier + time.time() - float(setting("STARTED"))

    def configure_optimizers(self):
        optimizer, _ = super().configure_optimizers()
        return optimizer, _RateOverBudget(optimizer, self.initial_lr, lambda: self.spent() / self.budget)

    def load_checkpoint(self, filename_or_checkpoint):
        super().load_checkpoint(filename_or_checkpoint)
        if self.spent_file.is_file():
            found = json.loads(self.spent_file.read_text())
            self.earlier, self.iterations = found["seconds"], found["iterations"]

    def save_checkpoint(self, filename):
        super().save_checkpoint(filename)
        found = {"seconds": self.spent(), "iterations": self.iterations, "epochs": self.current_epoch}
        if self.device.type == "cuda":
            found["peak_cuda_bytes"] = torch.cuda.max_memory_allocated()
        temporary = self.spent_file.with_suffix(".writing")
        temporary.write_text(json.dumps(found))
        os.replace(temporary, self.spent_file)

    def tell(self):
        print(
            f"progress: {self.spent() / 60:.2f} of {self.budget / 60:.2f} minutes, {self.iterations} iterations",
            flush=True,
        )

    def run_training(self):
        self.on_train_start()
        while True:
            self.on_epoch_start()
            self.on_train_epoch_start()
            outputs = []
            for _ in range(self.num_iterations_per_epoch):
                outputs.append(self.train_step(next(self.dataloader_train)))
                self.iterations += 1
                if self.spent() >= self.budget:
                    break
            self.on_train_epoch_end(outputs)
            with torch.no_grad():
                self.on_validation_epoch_start()
                outputs = [
                    self.validation_step(next(self.dataloader_val))
                    for _ in range(self.num_val_iterations_per_epoch)
                ]
                self.on_validation_epoch_end(outputs)
            self.on_epoch_end()
            if self.spent() >= self.budget:
                break
        self.on_train_end()
