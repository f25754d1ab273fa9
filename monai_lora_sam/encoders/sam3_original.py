"""Read SAM 3's weights in Meta's own form: their names in transformers, and projections that are stored as one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from monai_lora_sam.encoders.registry import CheckpointForm

_VISION = "vision_encoder."
#: Meta's names without the prefix ``detector.`` → transformers' names, as its conversion script has them. A name is
#: changed by all patterns that fit, in this order.
_NAMES = {
    r"^backbone\.vision_backbone\.trunk\.": "vision_encoder.backbone.",
    r"^backbone\.vision_backbone\.convs\.": "vision_encoder.neck.fpn_layers.",
    r"\.backbone\.pos_embed$": ".backbone.embeddings.position_embeddings",
    r"\.backbone\.patch_embed\.proj\.": ".backbone.embeddings.patch_embeddings.projection.",
    r"\.backbone\.ln_pre\.": ".backbone.layer_norm.",
    r"\.backbone\.blocks\.(\d+)\.norm(\d)\.": r".backbone.layers.\1.layer_norm\2.",
    r"\.backbone\.blocks\.(\d+)\.attn\.proj\.": r".backbone.layers.\1.attention.o_proj.",
    r"\.backbone\.blocks\.(\d+)\.attn\.": r".backbone.layers.\1.attention.",
    r"\.backbone\.blocks\.": ".backbone.layers.",
    r"(fpn_layers\.\d+)\.(dconv_2x2_0|dconv_2x2|maxpool_2x2)\.": r"\1.scale_layers.0.",
    r"(fpn_layers\.\d+)\.dconv_2x2_1\.": r"\1.scale_layers.2.",
    r"(fpn_layers\.\d+)\.conv_1x1\.": r"\1.proj1.",
    r"(fpn_layers\.\d+)\.conv_3x3\.": r"\1.proj2.",
    r"^backbone\.language_backbone\.resizer\.": "text_projection.",
    r"^backbone\.language_backbone\.encoder\.": "text_encoder.",
    r"^text_encoder\.token_embedding\.": "text_encoder.text_model.embeddings.token_embedding.",
    r"^text_encoder\.positional_embedding$": "text_encoder.text_model.embeddings.position_embedding.weight",
    r"^text_encoder\.ln_final\.": "text_encoder.text_model.final_layer_norm.",
    r"^text_encoder\.text_projection$": "text_encoder.text_projection.weight",
    r"^text_encoder\.transformer\.resblocks\.": "text_encoder.text_model.encoder.layers.",
    r"^(text_encoder.*)\.attn\.": r"\1.self_attn.",
    r"^(text_encoder.*)\.ln_(\d)\.": r"\1.layer_norm\2.",
    r"^(text_encoder.*)\.mlp\.c_fc\.": r"\1.mlp.fc1.",
    r"^(text_encoder.*)\.mlp\.c_proj\.": r"\1.mlp.fc2.",
    r"^geometry_encoder\.img_pre_norm\.": "geometry_encoder.vision_layer_norm.",
    r"^geometry_encoder\.norm\.": "geometry_encoder.prompt_layer_norm.",
    r"^geometry_encoder\.encode_norm\.": "geometry_encoder.output_layer_norm.",
    r"^geometry_encoder\.encode\.": "geometry_encoder.layers.",
    r"^transformer\.encoder\.": "detr_encoder.",
    r"^transformer\.decoder\.": "detr_decoder.",
    r"^(geometry_encoder|detr_encoder)(.*)\.cross_attn_image\.": r"\1\2.cross_attn.",
    r"^(geometry_encoder|detr_encoder)(\.layers\.\d+)\.norm(\d)\.": r"\1\2.layer_norm\3.",
    r"^(detr_decoder\.layers\.\d+)\.cross_attn\.": r"\1.vision_cross_attn.",
    r"^(detr_decoder\.layers\.\d+)\.ca_text\.": r"\1.text_cross_attn.",
    r"^(detr_decoder\.layers\.\d+)\.norm1\.": r"\1.vision_cross_attn_layer_norm.",
    r"^(detr_decoder\.layers\.\d+)\.catext_norm\.": r"\1.text_cross_attn_layer_norm.",
    r"^(detr_decoder\.layers\.\d+)\.norm2\.": r"\1.self_attn_layer_norm.",
    r"^(detr_decoder\.layers\.\d+)\.norm3\.": r"\1.mlp_layer_norm.",
    r"^detr_decoder\.norm\.": "detr_decoder.output_layer_norm.",
    r"^detr_decoder\.presence_token_out_norm\.": "detr_decoder.presence_layer_norm.",
    r"^detr_decoder\.presence_token_head\.": "detr_decoder.presence_head.",
    r"^detr_decoder\.bbox_embed\.": "detr_decoder.box_head.",
    r"^detr_decoder\.boxRPB_embed_": "detr_decoder.box_rpb_embed_",
    r"^(detr_decoder\.(?:presence_head|box_head|ref_point_head|box_rpb_embed_.))\.layers\.0\.": r"\1.layer1.",
    r"^(detr_decoder\.(?:presence_head|box_head|ref_point_head|box_rpb_embed_.))\.layers\.1\.": r"\1.layer2.",
    r"^(detr_decoder\.(?:presence_head|box_head|ref_point_head|box_rpb_embed_.))\.layers\.2\.": r"\1.layer3.",
    r"^((?:geometry_encoder|detr_encoder|detr_decoder)\.layers\.\d+)\.linear(\d)\.": r"\1.mlp.fc\2.",
    r"^dot_prod_scoring\.prompt_mlp\.layers\.0\.": "dot_product_scoring.text_mlp.layer1.",
    r"^dot_prod_scoring\.prompt_mlp\.layers\.1\.": "dot_product_scoring.text_mlp.layer2.",
    r"^dot_prod_scoring\.prompt_mlp\.out_norm\.": "dot_product_scoring.text_mlp_out_norm.",
    r"^dot_prod_scoring\.prompt_proj\.": "dot_product_scoring.text_proj.",
    r"^dot_prod_scoring\.hs_proj\.": "dot_product_scoring.query_proj.",
    r"^segmentation_head\.(mask_predictor\.)?mask_embed\.": "mask_decoder.mask_embedder.",
    r"^segmentation_head\.instance_seg_head\.": "mask_decoder.instance_projection.",
    r"^segmentation_head\.semantic_seg_head\.": "mask_decoder.semantic_projection.",
    r"^segmentation_head\.cross_attend_prompt\.": "mask_decoder.prompt_cross_attn.",
    r"^segmentation_head\.cross_attn_norm\.": "mask_decoder.prompt_cross_attn_norm.",
    r"^segmentation_head\.": "mask_decoder.",
    r"^((?!text_encoder).*attn)\.out_proj\.": r"\1.o_proj.",
}
#: Tensors that transformers' model computes (rotary positions) or does without: points as prompts, queries of
#: interactive use, and the pyramid of the tracker.
_UNUSED = re.compile(
    r"\.freqs_cis|^geometry_encoder\.points_|\.sam2_convs\.|^transformer\.decoder\.instance_"
)
_JOINED = re.compile(r"\.(?:qkv\.|in_proj_)(weight|bias)$")
_POSITIONS = "embeddings.position_embeddings"
_PROJECTION = "text_encoder.text_projection.weight"
#: The tensor by which Meta's form is known, without its prefix, which is ``detector.`` in Meta's own file.
_MARK = r"(?P<prefix>(.*\.)?)backbone\.vision_backbone\.trunk\.patch_embed\.proj\.weight"


def original_sam3_name(name: str) -> str | None:
    """Return transformers' name of a tensor of Meta's SAM 3, or None where transformers' model has none.

    Args:
        name: without the prefix ``detector.``.

    Example:
        >>> original_sam3_name("transformer.decoder.layers.0.ca_text.out_proj.bias")
        'detr_decoder.layers.0.text_cross_attn.o_proj.bias'
    """
    if _UNUSED.search(name):
        return None
    for pattern, replacement in _NAMES.items():
        name = re.sub(pattern, replacement, name)
    return name


def split_original(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """Return what transformers has for a tensor of Meta's, whose name is transformers' already.

    Query, key and value are one tensor in Meta's form, the positions begin with that of a class token, and the
    projection of the text is transposed.
    """
    if joined := _JOINED.search(name):
        stem = name[: joined.start()]
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{stem}.{letter}_proj.{joined[1]}": part.contiguous() for letter, part in parts}
    if name.endswith(_POSITIONS):
        return {name: tensor[:, 1:].contiguous()}
    return {name: tensor.T.contiguous() if name == _PROJECTION else tensor}


def original_sam3_prefix(names: list[str]) -> str | None:
    """Return what stands before Meta's names of SAM 3 in a checkpoint, or None where it has another form.

    Example:
        >>> original_sam3_prefix(["detector.backbone.vision_backbone.trunk.patch_embed.proj.weight"])
        'detector.'
    """
    return next((match["prefix"] for name in names if (match := re.fullmatch(_MARK, name))), None)


def original_sam3_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of Meta's SAM 3, without their prefix, by transformers' names."""
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = original_sam3_name(key)
        if name is not None:
            found |= split_original(name, tensor)
    return found


def _vision_name(name: str) -> str | None:
    found = original_sam3_name(name)
    return found.removeprefix(_VISION) if found is not None and found.startswith(_VISION) else None


#: Meta's form as one of the image encoder alone.
ORIGINAL_SAM3 = CheckpointForm(_MARK, _vision_name, split=split_original)
