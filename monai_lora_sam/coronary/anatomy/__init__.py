"""Coronary anatomy: SYNTAX and CASS segments, ARCADE's category ids, dominance."""

from monai_lora_sam.coronary.anatomy.arcade import (
    ARCADE_CLASS_NAMES,
    ARCADE_STENOSIS_ID,
    arcade_id,
    arcade_ids_by_name,
    coco_identifier,
    syntax_from_arcade_id,
)
from monai_lora_sam.coronary.anatomy.mapping import cass_from_syntax, syntax_from_cass
from monai_lora_sam.coronary.anatomy.names import cass_name, segment_name
from monai_lora_sam.coronary.anatomy.neighbours import Side, adjoins, parents_of, side_of
from monai_lora_sam.coronary.anatomy.order import COURSES, in_order, rank_of
from monai_lora_sam.coronary.anatomy.phrases import artery_phrases, segment_phrases
from monai_lora_sam.coronary.anatomy.segments import (
    CassSegment,
    Dominance,
    SyntaxSegment,
    Vessel,
    exists_in,
    vessel_of,
)

__all__ = [
    "ARCADE_CLASS_NAMES",
    "ARCADE_STENOSIS_ID",
    "COURSES",
    "CassSegment",
    "Dominance",
    "Side",
    "SyntaxSegment",
    "Vessel",
    "adjoins",
    "arcade_id",
    "arcade_ids_by_name",
    "artery_phrases",
    "cass_from_syntax",
    "cass_name",
    "coco_identifier",
    "exists_in",
    "in_order",
    "parents_of",
    "rank_of",
    "segment_name",
    "segment_phrases",
    "side_of",
    "syntax_from_arcade_id",
    "syntax_from_cass",
    "vessel_of",
]
