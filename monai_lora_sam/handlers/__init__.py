"""Event handlers for MONAI's engines: seeding by epoch, resumable training, saving a stage."""

from monai_lora_sam.handlers.epoch_log import EpochLog, read_history
from monai_lora_sam.handlers.epoch_seed import EpochSeed
from monai_lora_sam.handlers.finite_training import FiniteTraining
from monai_lora_sam.handlers.gradient_clipping import GradientClipping
from monai_lora_sam.handlers.resumable_early_stop import ResumableEarlyStop
from monai_lora_sam.handlers.resumable_warmup_cosine import ResumableWarmupCosine
from monai_lora_sam.handlers.stage_saver import StageSaver
from monai_lora_sam.handlers.time_budget import TimeBudget, budget_handler
from monai_lora_sam.handlers.training_state import TrainingState

__all__ = [
    "EpochLog",
    "EpochSeed",
    "FiniteTraining",
    "GradientClipping",
    "ResumableEarlyStop",
    "ResumableWarmupCosine",
    "StageSaver",
    "TimeBudget",
    "TrainingState",
    "budget_handler",
    "read_history",
]
