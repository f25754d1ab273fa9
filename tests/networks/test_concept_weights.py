"""SAM 3 in Meta's own form of checkpoint answers as in transformers' form; files in neither are refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from monai_lora_sam.encoders import build_encoder, original_sam3_prefix, original_sam3_tensors
from monai_lora_sam.networks import build_text_segmenter

#: transformers' names → Meta's, as `sam3/model` of Meta's repository has them.
NAMES = (
    (r"^vision_encoder\.backbone\.embeddings\.position_embeddings$", "backbone.vision_backbone.trunk.pos_embed"),
    (r"^vision_encoder\.backbone\.embeddings\.patch_.*\.projection", "backbone.vision_backbone.trunk.patch_embed.proj"),
    (r"^vision_encoder\.backbone\.layer_norm\.", "backbone.vision_backbone.trunk.ln_pre."),
    (r"^vision_encoder\.backbone\.layers", "backbone.vision_backbone.trunk.blocks"),
    (r"(trunk\.blocks\.\d+)\.layer_norm", r"\1.norm"),
    (r"(trunk\.blocks\.\d+)\.attention\.o_proj", r"\1.attn.proj"),
    (r"(trunk\.blocks\.\d+)\.attention\.", r"\1.attn."),
    (r"^vision_encoder\.neck\.fpn_layers\.0\.scale_layers\.0", "backbone.vision_backbone.convs.0.dconv_2x2_0"),
    (r"^vision_encoder\.neck\.fpn_layers\.0\.scale_layers\.2", "backbone.vision_backbone.convs.0.dconv_2x2_1"),
    (r"^vision_encoder\.neck\.fpn_layers\.1\.scale_layers\.0", "backbone.vision_backbone.convs.1.dconv_2x2"),
    (r"^vision_encoder\.neck\.fpn_layers\.(\d)\.proj1", r"backbone.vision_backbone.convs.\1.conv_1x1"),
    (r"^vision_encoder\.neck\.fpn_layers\.(\d)\.proj2", r"backbone.vision_backbone.convs.\1.conv_3x3"),
    (r"^text_projection\.", "backbone.language_backbone.resizer."),
    (r"^text_encoder\.text_projection\.weight$", "backbone.language_backbone.encoder.text_projection"),
    (r"^text_encoder\.text_model\.embeddings\.token_embedding", "backbone.language_backbone.encoder.token_embedding"),
    (r"^text_encoder\.text_model\.embeddings\.position.*", "backbone.language_backbone.encoder.positional_embedding"),
    (r"^text_encoder\.text_model\.final_layer_norm", "backbone.language_backbone.encoder.ln_final"),
    (r"^text_encoder\.text_model\.encoder\.layers", "backbone.language_backbone.encoder.transformer.resblocks"),
    (r"(resblocks\.\d+)\.self_attn", r"\1.attn"),
    (r"(resblocks\.\d+)\.layer_norm", r"\1.ln_"),
    (r"(resblocks\.\d+)\.mlp\.fc1", r"\1.mlp.c_fc"),
    (r"(resblocks\.\d+)\.mlp\.fc2", r"\1.mlp.c_proj"),
    (r"^geometry_encoder\.vision_layer_norm", "geometry_encoder.img_pre_norm"),
    (r"^geometry_encoder\.prompt_layer_norm", "geometry_encoder.norm"),
    (r"^geometry_encoder\.output_layer_norm", "geometry_encoder.encode_norm"),
    (r"^geometry_encoder\.layers", "geometry_encoder.encode"),
    (r"^detr_encoder", "transformer.encoder"),
    (r"(geometry_encoder\.encode|transformer\.encoder\.layers)(\.\d+)\.layer_norm", r"\1\2.norm"),
    (r"(geometry_encoder\.encode|transformer\.encoder\.layers)(\.\d+)\.cross_attn", r"\1\2.cross_attn_image"),
    (r"^detr_decoder", "transformer.decoder"),
    (r"decoder\.(layers\.\d+)\.vision_cross_attn_layer_norm", r"decoder.\1.norm1"),
    (r"decoder\.(layers\.\d+)\.text_cross_attn_layer_norm", r"decoder.\1.catext_norm"),
    (r"decoder\.(layers\.\d+)\.self_attn_layer_norm", r"decoder.\1.norm2"),
    (r"decoder\.(layers\.\d+)\.mlp_layer_norm", r"decoder.\1.norm3"),
    (r"decoder\.(layers\.\d+)\.vision_cross_attn", r"decoder.\1.cross_attn"),
    (r"decoder\.(layers\.\d+)\.text_cross_attn", r"decoder.\1.ca_text"),
    (r"decoder\.output_layer_norm", "decoder.norm"),
    (r"decoder\.presence_layer_norm", "decoder.presence_token_out_norm"),
    (r"decoder\.presence_head", "decoder.presence_token_head"),
    (r"decoder\.box_head", "decoder.bbox_embed"),
    (r"decoder\.box_rpb_embed_", "decoder.boxRPB_embed_"),
    (r"(transformer\.decoder\.\w+)\.layer1", r"\1.layers.0"),
    (r"(transformer\.decoder\.\w+)\.layer2", r"\1.layers.1"),
    (r"(transformer\.decoder\.\w+)\.layer3", r"\1.layers.2"),
    (r"^((?:geometry|transformer).*)\.mlp\.fc(\d)", r"\1.linear\2"),
    (r"^dot_product_scoring\.text_mlp\.layer1", "dot_prod_scoring.prompt_mlp.layers.0"),
    (r"^dot_product_scoring\.text_mlp\.layer2", "dot_prod_scoring.prompt_mlp.layers.1"),
    (r"^dot_product_scoring\.text_mlp_out_norm", "dot_prod_scoring.prompt_mlp.out_norm"),
    (r"^dot_product_scoring\.text_proj", "dot_prod_scoring.prompt_proj"),
    (r"^dot_product_scoring\.query_proj", "dot_prod_scoring.hs_proj"),
    (r"^mask_decoder\.mask_embedder", "segmentation_head.mask_predictor.mask_embed"),
    (r"^mask_decoder\.instance_projection", "segmentation_head.instance_seg_head"),
    (r"^mask_decoder\.semantic_projection", "segmentation_head.semantic_seg_head"),
    (r"^mask_decoder\.prompt_cross_attn_norm", "segmentation_head.cross_attn_norm"),
    (r"^mask_decoder\.prompt_cross_attn", "segmentation_head.cross_attend_prompt"),
    (r"^mask_decoder", "segmentation_head"),
    (r"\.o_proj\.", ".out_proj."),
)  # fmt: skip


def meta_name(name: str) -> str:
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def meta_form(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Write transformers' tensors as Meta's repository saves them, with what only Meta's model has."""
    made: dict[str, torch.Tensor] = {}
    for key, tensor in tensors.items():
        name = f"detector.{meta_name(key)}"
        if match := re.search(r"\.([qkv])_proj\.(weight|bias)$", name):
            if match[1] == "q":
                parts = [tensors[key.replace(".q_proj.", f".{letter}_proj.")] for letter in "qkv"]
                joined = f"qkv.{match[2]}" if ".trunk." in name else f"in_proj_{match[2]}"
                made[name[: match.start()] + "." + joined] = torch.cat(parts)
        elif name.endswith("pos_embed"):
            made[name] = torch.cat([torch.full_like(tensor[:, :1], 9.0), tensor], 1)
        else:
            made[name] = tensor.T.contiguous() if name.endswith("encoder.text_projection") else tensor
    extra = (
        "detector.backbone.vision_backbone.trunk.blocks.0.attn.freqs_cis",
        "detector.backbone.vision_backbone.sam2_convs.0.conv_1x1.weight",
        "detector.geometry_encoder.points_pool_project.weight",
        "tracker.maskmem_backbone.x",
    )
    return made | dict.fromkeys(extra, torch.zeros(2))


@pytest.fixture
def original(text_sam3: Path, tmp_path: Path) -> Path:
    """Save the miniature in Meta's form; without `config.json` the architecture would be that of the full size."""
    tensors = load_file(text_sam3 / "model.safetensors")
    torch.save({"model": meta_form(tensors)}, tmp_path / "sam3.pt")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((text_sam3 / name).read_bytes())
    return tmp_path / "sam3.pt"


def test_metas_form_answers_as_transformers_form(original: Path, text_sam3: Path):
    tensors = load_file(text_sam3 / "model.safetensors")
    found = original_sam3_tensors(
        {
            name.removeprefix("detector."): tensor
            for name, tensor in meta_form(tensors).items()
            if not name.startswith("tracker.")
        }
    )
    assert found.keys() == tensors.keys() and all(torch.equal(found[name], tensors[name]) for name in tensors)
    one, other = build_encoder("sam3", original), build_encoder("sam3", text_sam3)
    assert one.fingerprint == other.fingerprint
    networks = [build_text_segmenter(source, mixed_precision=False) for source in (original, text_sam3)]
    image = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    answers = [network.segment(image, ["left kidney"], threshold=0.0)[0] for network in networks]
    assert torch.equal(answers[0].scores, answers[1].scores) and torch.equal(
        answers[0].masks, answers[1].masks
    )
    assert networks[0].head.base == networks[1].head.base  # an adapter of one fits the other
    (original.with_name("config.json")).write_text('{"model_type": "llama", "vocab_size": 128256}')
    with pytest.raises(ValueError, match=r"sam3\.pt: expected the configuration of SAM 3 .*found 'llama'"):
        build_text_segmenter(original)
    with pytest.raises(
        ValueError, match="the weights do not fit the encoder"
    ):  # of full size, as Meta's file is
        build_encoder("sam3", original)


def test_a_file_in_neither_form_is_named(text_sam3: Path, tmp_path: Path):
    save_file({"conv.weight": torch.zeros(2), "conv.bias": torch.zeros(1)}, tmp_path / "model.safetensors")
    raw = json.loads((text_sam3 / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(raw))
    (tmp_path / "tokenizer.json").write_bytes((text_sam3 / "tokenizer.json").read_bytes())
    with pytest.raises(
        ValueError,
        match=r"in the form of transformers or of Meta, found neither; its 2 names begin with: conv.bias",
    ):
        build_text_segmenter(tmp_path)
    assert original_sam3_prefix(["conv.weight"]) is None


def test_missing_tensors_of_metas_form_are_named(original: Path):
    content = torch.load(original, weights_only=True)["model"]
    del content["detector.transformer.decoder.presence_token.weight"]
    torch.save(content, original)
    with pytest.raises(
        ValueError, match=r"found 1 tensors that do not fit: detr_decoder.presence_token.weight"
    ):
        build_text_segmenter(original)
