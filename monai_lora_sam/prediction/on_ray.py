"""Spread the shards of a run over a Ray cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from monai_lora_sam.prediction.predictor import StagePredictor
from monai_lora_sam.prediction.run import PredictionRun, begin_run
from monai_lora_sam.prediction.shard import run_shard


class _ShardActor:
    """Keep a network on one worker of the cluster, and do the shards that come."""

    def __init__(self, begin: dict[str, Any], load: dict[str, Any]) -> None:
        self.run = begin_run(**begin)
        self.load = load
        self.predictor: StagePredictor | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        shard = int(row["shard"])
        with self.run.claimed(shard, wait=True) as mine:
            if mine:
                self.predictor = self.predictor or StagePredictor(**self.load)
                run_shard(self.run, shard, self.predictor)
        return {"shard": shard}


def predict_on_ray(run: PredictionRun, begin: dict[str, Any], load: dict[str, Any]) -> int:
    """Do the shards that are left by actors of Ray Data, one a GPU, or one a CPU where the cluster has no GPU.

    The cluster is that of RAY_ADDRESS, or one on this machine. Ray hands out shard numbers alone: the folder of the run
    says which are done, and an actor that dies is started again.

    Args:
        run: the images and the folder, which every machine of the cluster has to see.
        begin: arguments of :func:`begin_run`, with which an actor opens the run.
        load: arguments of :class:`StagePredictor`.

    Returns:
        The number of shards that were left.

    Raises:
        ValueError: Ray is missing.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(
            f"a run on Ray needs ray, found {error}: pip install 'monai-lora-sam[ray]'"
        ) from error
    left = [{"shard": shard} for shard in range(run.shards) if not run.is_done(shard)]
    if not left:
        return 0
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    resources = ray.cluster_resources()
    gpus = 0 if str(load.get("device")) == "cpu" else int(resources.get("GPU", 0))
    actors = min(len(left), gpus or max(1, int(resources.get("CPU", 1))))
    shards = ray.data.from_items(left, override_num_blocks=len(left))
    done = shards.map(
        _ShardActor,
        fn_constructor_args=[_absolute(begin), _absolute(load)],
        concurrency=actors,
        num_gpus=1 if gpus else None,
    )
    return sum(1 for _ in done.iter_rows())


def _absolute(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments whose paths hold in any working folder."""

    def place(value: Any) -> Any:
        if isinstance(value, list):
            return [place(one) for one in value]
        is_path = isinstance(value, str | Path) and Path(value).exists()
        return str(Path(value).absolute()) if is_path else value

    return {key: place(value) for key, value in arguments.items()}
