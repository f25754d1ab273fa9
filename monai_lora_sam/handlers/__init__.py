"""Event handlers for MONAI's engines: determinism by epoch, resumable training, saving a stage."""

from .epoch_log import EpochLog, read_history
from .epoch_seed import EpochSeed
from .resumable_early_stop import ResumableEarlyStop
from .resumable_warmup_cosine import ResumableWarmupCosine
from .stage_saver import StageSaver
from .training_state import TrainingState

__all__ = [
    "EpochLog",
    "EpochSeed",
    "ResumableEarlyStop",
    "ResumableWarmupCosine",
    "StageSaver",
    "TrainingState",
    "read_history",
]
