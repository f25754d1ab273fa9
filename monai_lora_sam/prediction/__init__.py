"""Run a stage over any number of images, shard by shard, by any number of workers on any machines."""

from monai_lora_sam.prediction.on_ray import predict_on_ray
from monai_lora_sam.prediction.place import WorkerPlace, worker_place
from monai_lora_sam.prediction.predictor import StagePredictor
from monai_lora_sam.prediction.run import PredictionRun, begin_run
from monai_lora_sam.prediction.shard import ShardReport, run_shard
from monai_lora_sam.prediction.summary import RunSummary, summarise_run
from monai_lora_sam.prediction.worker import work_on_shards

__all__ = [
    "PredictionRun",
    "RunSummary",
    "ShardReport",
    "StagePredictor",
    "WorkerPlace",
    "begin_run",
    "predict_on_ray",
    "run_shard",
    "summarise_run",
    "work_on_shards",
    "worker_place",
]
