"""Work on the shards of a run that nobody has done or is doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from monai_lora_sam.prediction.place import WorkerPlace
from monai_lora_sam.prediction.predictor import StagePredictor
from monai_lora_sam.prediction.run import PredictionRun
from monai_lora_sam.prediction.shard import ShardReport, run_shard


def work_on_shards(
    run: PredictionRun,
    load: Callable[[], StagePredictor],
    place: WorkerPlace | None = None,
    tell: Callable[[int], Any] = lambda images: None,
) -> list[ShardReport]:
    """Do the shards that are left, until all of the run are done.

    Workers begin at places apart from each other and take whatever is left from there on, so that a fast one does more
    than a slow one. The shard of a worker that dies is taken over by another.

    Args:
        run: the images and the folder.
        load: loads the network, when there is something to do.
        place: of this worker among all.
        tell: called with the number of images of a shard that have been done since the last call.

    Returns:
        Where the time went, for each shard that this worker did.
    """
    place = place or WorkerPlace()
    start = run.shards * place.number // place.workers
    predictor: StagePredictor | None = None
    reports: list[ShardReport] = []
    for wait in (False, True):  # first those that are free, then those that another worker may give up
        for shard in _round(run.shards, start):
            if run.is_done(shard):
                continue
            with run.claimed(shard, wait) as mine:
                if mine:
                    predictor = predictor or load()
                    reports.append(run_shard(run, shard, predictor, lambda done: tell(1)))
    return reports


def _round(count: int, start: int) -> Iterator[int]:
    yield from range(start, count)
    yield from range(start)
