"""The place of this process among those that share a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerPlace:
    """Hold the number of this worker, of all workers, and of this one on its machine, from 0.

    Attributes:
        number: of this worker.
        workers: how many there are.
        local: number on this machine, by which it takes a GPU.
    """

    number: int = 0
    workers: int = 1
    local: int = 0


def worker_place(variables: Mapping[str, str] | None = None) -> WorkerPlace:
    """Return the place of this process as torchrun or SLURM tell it by environment variables.

    torchrun sets RANK, WORLD_SIZE and LOCAL_RANK; srun SLURM_PROCID, SLURM_NTASKS and SLURM_LOCALID; an array
    SLURM_ARRAY_TASK_ID, _MIN, _STEP and _COUNT. The number decides alone where a worker begins, not what it does.

    Raises:
        ValueError: a variable that is no whole number.

    Example:
        >>> worker_place({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1"})
        WorkerPlace(number=3, workers=8, local=1)
        >>> worker_place({"SLURM_ARRAY_TASK_ID": "12", "SLURM_ARRAY_TASK_MIN": "10", "SLURM_ARRAY_TASK_COUNT": "4"})
        WorkerPlace(number=2, workers=4, local=0)
    """
    given = os.environ if variables is None else variables

    def number(name: str, default: int) -> int:
        text = given.get(name, "")
        try:
            return int(text) if text else default
        except ValueError:
            raise ValueError(f"{name}: expected a whole number, found {text!r}") from None

    if "RANK" in given:
        return WorkerPlace(number("RANK", 0), max(1, number("WORLD_SIZE", 1)), number("LOCAL_RANK", 0))
    tasks = max(1, number("SLURM_NTASKS", 1))
    array = number("SLURM_ARRAY_TASK_ID", 0) - number("SLURM_ARRAY_TASK_MIN", 0)
    array //= max(1, number("SLURM_ARRAY_TASK_STEP", 1))
    jobs = max(1, number("SLURM_ARRAY_TASK_COUNT", 1))
    return WorkerPlace(array * tasks + number("SLURM_PROCID", 0), jobs * tasks, number("SLURM_LOCALID", 0))
