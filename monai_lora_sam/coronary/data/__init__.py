"""ARCADE and the tasks of the three stages as MONAI datalists."""

from monai_lora_sam.coronary.data.arcade import prepare_arcade, stenosis_lesions
from monai_lora_sam.coronary.data.arcade_annotations import AnnotatedImage, Polygon, read_annotations
from monai_lora_sam.coronary.data.phrases import read_phrases
from monai_lora_sam.coronary.data.questions import coronary_facts, read_questions
from monai_lora_sam.coronary.data.tasks import TASK_CLASS_NAMES, read_split, read_task

__all__ = [
    "coronary_facts",
    "read_questions",
    "AnnotatedImage",
    "Polygon",
    "TASK_CLASS_NAMES",
    "prepare_arcade",
    "read_annotations",
    "read_phrases",
    "read_split",
    "read_task",
    "stenosis_lesions",
]
