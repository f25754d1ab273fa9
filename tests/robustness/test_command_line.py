"""Wrong command lines end in one line that names the file or the option, and never in a traceback."""

from __future__ import annotations

import json
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from monai_lora_sam.cli.main import app

#: Exit code of typer for a wrong command line; its box has several lines.
USAGE = 2


def _png_header(width: int, height: int) -> bytes:
    """Return a PNG that announces a size and has no pixels."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b""))]
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [*parts, (b"IEND", b"")]
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of inputs, right and wrong."""
    root = tmp_path_factory.mktemp("inputs")
    for name in ("images", "masks", "empty", "odd[/x]", "card", "cards/a", "textcard", "peft"):
        (root / name).mkdir(parents=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(root / "images" / "1.png")
    mask = np.zeros((8, 8), np.uint8)
    mask[2:6, 3:5] = 255
    Image.fromarray(mask).save(root / "masks" / "1.png")
    Image.fromarray(mask).save(root / "mask.png")
    (root / "zero.png").write_bytes(b"")
    (root / "text.png").write_text("no picture")
    (root / "bomb.png").write_bytes(_png_header(100_000, 100_000))
    (root / "bad.nii.gz").write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + b"\xff" * 60)
    (root / "short.nii").write_bytes(struct.pack("<i", 348) + b"\x00" * 20)
    (root / "short.dcm").write_bytes(b"\x00" * 128 + b"DICM" + b"\x02\x00")
    (root / "weights.pth").write_bytes(b"PK\x03\x04" + b"\x00" * 30)
    (root / "deep.json").write_text("[" * 100_000)
    (root / "digits.json").write_text("1" * 5000)
    (root / "latin.json").write_bytes(b'{"name": "\xe9"}')
    (root / "empty.json").write_text("")
    (root / "list.json").write_text("[]")
    (root / "null.json").write_text("null")
    (root / "score.json").write_text(json.dumps({"confirmed": True, "dominance": 7, "lesions": {}}))
    (root / "lesion.json").write_text(
        json.dumps({"confirmed": True, "dominance": "right", "lesions": [{"segments": 6}]})
    )
    (root / "nulls.json").write_text(json.dumps({"training": None, "validation": None}))
    (root / "types.json").write_text(json.dumps({"training": [{"image": 1}], "validation": None}))
    (root / "gone.json").write_text(json.dumps({"training": [{"image": "gone.png"}], "task": "t"}))
    (root / "card" / "card.json").write_text("[" * 100_000)
    (root / "cards" / "a" / "card.json").write_text(json.dumps({"name": 7, "files": [], "encoder": None}))
    (root / "textcard" / "card.json").write_text('"card"')
    (root / "peft" / "adapter_config.json").write_text("[]")
    for name, content in {
        "deep": "[" * 100_000,
        "types": json.dumps({"images": [7], "annotations": [None], "categories": 3}),
        "gone": json.dumps({"images": [{"id": 1, "file_name": 7}], "annotations": []}),
        "null": "null",
    }.items():
        annotations = root / f"arcade_{name}" / "syntax" / "train" / "annotations"
        annotations.mkdir(parents=True)
        (annotations.parent / "images").mkdir()
        (annotations / "train.json").write_text(content)
    pair = {"image": "gone.nii.gz", "label": "gone.nii.gz"}
    labels = {"labels": {"0": "background", "1": "liver"}, "modality": {"0": "CT"}}
    for name, content in {
        "deep": "[" * 100_000,
        "null": "null",
        "types": json.dumps({"labels": [7], "training": [pair]}),
        "gone": json.dumps(labels | {"training": [pair]}),
        "bad": json.dumps(labels | {"training": [{"image": "bad.nii.gz", "label": "bad.nii.gz"}]}),
    }.items():
        (root / f"decathlon_{name}").mkdir()
        (root / f"decathlon_{name}" / "dataset.json").write_text(content)
    for part in ("decathlon_bad", "volumes"):
        (root / part).mkdir(exist_ok=True)
        (root / part / "bad.nii.gz").write_bytes((root / "bad.nii.gz").read_bytes())
    return root


# A wrong command line, in it {d} for the folder, and a word of the message.
WRONG = [
    ("trian", "train"),
    ("prepare arcda", "arcade"),
    ("--nonsense", "nonsense"),
    ("prepare", ""),
    ("prepare arcade", "SOURCE"),
    ("prepare arcade {d}/arcade_deep", "--out"),
    ("prepare arcade {d}/none --out {d}/o", "none"),
    ("prepare arcade {d}/mask.png --out {d}/o", "mask.png"),
    ("prepare arcade {d}/empty --out {d}/o", "syntax"),
    ("prepare arcade {d}/arcade_deep --out {d}/o", "train.json"),
    ("prepare arcade {d}/arcade_types --out {d}/o", "train.json"),
    ("prepare arcade {d}/arcade_gone --out {d}/o", "train.json"),
    ("prepare arcade {d}/arcade_null --out {d}/o", "train.json"),
    ("prepare arcade {d}/arcade_deep --out {d}/mask.png", "mask.png"),
    ("prepare arcade {d}/arcade_deep --out {d}/o --task cells", "--task"),
    ("prepare arcade {d}/arcade_deep --out {d}/o --tsak vessels", "--task"),
    ("prepare folders", "IMAGES"),
    ("prepare folders {d}/images", "MASKS"),
    ("prepare folders {d}/images {d}/masks", "--out"),
    ("prepare folders {d}/none {d}/masks --out {d}/o", "none"),
    ("prepare folders {d}/images {d}/none --out {d}/o", "none"),
    ("prepare folders {d}/empty {d}/empty --out {d}/o", "empty"),
    ("prepare folders {d}/mask.png {d}/masks --out {d}/o", "mask.png"),
    ("prepare folders {d}/images {d}/images --out {d}/o", "1.png"),
    ("prepare folders {d}/odd[/x] {d}/masks --out {d}/o", "odd[/x]"),
    ("prepare folders {d}/images {d}/masks --out {d}/zero.png", "zero.png"),
    ("prepare folders {d}/images {d}/masks --out {d}/zero.png/o", "zero.png"),
    ("prepare folders {d}/images {d}/masks --out {d}/o --validation-fraction 2", "--validation-fraction"),
    ("prepare folders {d}/images {d}/masks --out {d}/o --validation-fraction -1", "--validation-fraction"),
    ("prepare folders {d}/images {d}/masks --out {d}/o --validation-fraction nan", "--validation-fraction"),
    ("prepare folders {d}/images {d}/masks --out {d}/o --validation-fraction x", "--validation-fraction"),
    ("prepare folders {d}/images {d}/masks --out {d}/o --seed 1.5", "--seed"),
    ("prepare folders {d}/images {d}/masks --out {d}/o", "at least 2 cases"),
    ("prepare combine --out {d}/o --task t", "SOURCES"),
    ("prepare combine {d}/none --out {d}/o --task t", "none"),
    ("prepare combine {d}/empty --out {d}/o --task t", "datalist.json"),
    ("prepare combine {d}/mask.png --out {d}/o --task t", "mask.png"),
    ("prepare combine {d}/deep.json --out {d}/o --task t", "deep.json"),
    ("prepare combine {d}/digits.json --out {d}/o --task t", "digits.json"),
    ("prepare combine {d}/latin.json --out {d}/o --task t", "latin.json"),
    ("prepare combine {d}/empty.json --out {d}/o --task t", "empty.json"),
    ("prepare combine {d}/list.json --out {d}/o --task t", "list.json"),
    ("prepare combine {d}/null.json --out {d}/o --task t", "null.json"),
    ("prepare combine {d}/nulls.json --out {d}/o --task t", "nulls.json"),
    ("prepare combine {d}/types.json --out {d}/o --task vessels", "types.json"),
    ("prepare combine {d}/gone.json --out {d}/o --task t", "gone.png"),
    ("prepare combine {d}/odd[/x] --out {d}/o --task t", "odd[/x]"),
    ("prepare combine {d}/gone.json --out {d}/zero.png --task t", "zero.png"),
    ("prepare phantom", "--out"),
    ("prepare phantom --out {d}/o --count 0", "--count"),
    ("prepare phantom --out {d}/o --count x", "--count"),
    ("prepare phantom --out {d}/o --validation-fraction 2", "--validation-fraction"),
    ("prepare phantom --out {d}/zero.png", "zero.png"),
    ("prepare cine --out {d}/o --frames 0", "--frames"),
    ("prepare cine --out {d}/o --count -3", "--count"),
    ("prepare cine --out {d}/zero.png", "zero.png"),
    ("train", "BUNDLE"),
    ("train vessel_segmentatoin", "vessel_segmentation"),
    ("train {d}/empty", "empty"),
    ("train vessel_segmentation --epcohs 3", "epochs"),
    ("train vessel_segmentation --epochs", "epochs"),
    ("train vessel_segmentation epochs 3", "epochs"),
    ("train vessel_segmentation --dataset_dir {d}/none --out {d}/o", "none"),
    ("train vessel_segmentation --dataset_dir {d}/deep.json --out {d}/o", "deep.json"),
    ("train vessel_segmentation --dataset_dir {d}/nulls.json --out {d}/o", "nulls.json"),
    ("evaluate", "BUNDLE"),
    ("evaluate nothing", "nothing"),
    ("evaluate vessel_segmentation --dataset_dir {d}/none --out {d}/o", "none"),
    ("run", "IMAGES"),
    ("run {d}/none.png --out {d}/o", "none.png"),
    ("run {d}/images", "--out"),
    ("run {d}/images/1.png --out {d}/zero.png", "zero.png"),
    ("run {d}/images/1.png --out {d}/o --device nonsense", "nonsense"),
    ("run {d}/images/1.png --out {d}/o --stages 7", "--stages"),
    ("run {d}/images/1.png --out {d}/o --spacing -1", "spacing"),
    ("run {d}/images/1.png --out {d}/o --view 30", "--view"),
    ("run {d}/images/1.png --out {d}/o --view 300 20", "view"),
    ("run {d}/images/1.png --out {d}/o --frame 0", "frame"),
    ("run {d}/images/1.png --out {d}/o --vessels {d}/card", "card"),
    ("run {d}/images/1.png --out {d}/o --vessels {d}/textcard", "card"),
    ("run {d}/images/1.png --out {d}/o --vessels {d}/none", "none"),
    ("run {d}/images/1.png --out {d}/o --confirmed {d}/deep.json", "deep.json"),
    ("run {d}/images/1.png --out {d}/o --weights {d}/weights.pth", "weights.pth"),
    ("run {d}/images/1.png --out {d}/o --catheter 1 2", "--catheter"),
    ("segment", "IMAGE"),
    ("segment {d}/images/1.png --out {d}/o", "--box"),
    ("segment {d}/images/1.png --box 1,2,3,4", "--out"),
    ("segment {d}/none.png --box 1,2,3,4 --out {d}/o", "none.png"),
    ("segment {d}/zero.png --box 1,2,3,4 --out {d}/o", "zero.png"),
    ("segment {d}/text.png --box 1,2,3,4 --out {d}/o", "text.png"),
    ("segment {d}/bomb.png --box 1,2,3,4 --out {d}/o", "bomb.png"),
    ("segment {d}/bad.nii.gz --box 1,2,3,4 --out {d}/o", "bad.nii.gz"),
    ("segment {d}/short.nii --box 1,2,3,4 --out {d}/o", "short.nii"),
    ("segment {d}/short.dcm --box 1,2,3,4 --out {d}/o", "short.dcm"),
    ("segment {d}/empty --slice 0 --box 1,2,3,4 --out {d}/o", "empty"),
    ("segment {d}/images/1.png --box 1,2,3,4 --out {d}/zero.png", "zero.png"),
    ("segment {d}/images/1.png --box 1,2 --out {d}/o", "x0, y0, x1, y1"),
    ("segment {d}/images/1.png --point 1 --out {d}/o", "x, y"),
    ("segment {d}/images/1.png --box 1,2,3,4 --slice x --out {d}/o", "--slice"),
    ("segment {d}/images/1.png --box 1,2,3,4 --weights {d}/weights.pth --out {d}/o", "weights.pth"),
    ("segment {d}/images/1.png --box 1,2,3,4 --adapter {d}/card --out {d}/o", "card"),
    ("segment {d}/images/1.png --box 1,2,3,4 --adapter {d}/empty --out {d}/o", "empty"),
    ("segment {d}/images/1.png --box 1,2,3,4 --image-size 7 --out {d}/o", "7"),
    ("segment {d}/images/1.png --prompts {d}/none.json --out {d}/o", "none.json"),
    ("segment {d}/images/1.png --prompts {d}/deep.json --out {d}/o", "deep.json"),
    ("segment {d}/images/1.png --prompts {d}/latin.json --out {d}/o", "latin.json"),
    ("segment {d}/images/1.png --prompts {d}/empty.json --out {d}/o", "empty.json"),
    ("segment {d}/images/1.png --prompts {d}/list.json --out {d}/o", "list.json"),
    ("segment {d}/images/1.png --prompts {d}/null.json --out {d}/o", "null.json"),
    ("segment {d}/images/1.png --prompts {d}/types.json --out {d}/o", "types.json"),
    ("prepare cosmos {d}/none --out {d}/o", "none"),
    ("prepare cosmos {d}/empty --out {d}/o", "empty"),
    ("prepare cosmos {d}/mask.png --out {d}/o", "mask.png"),
    ("prepare decathlon", "ROOT"),
    ("prepare decathlon {d}/none --out {d}/o", "none"),
    ("prepare decathlon {d}/empty --out {d}/o", "dataset.json"),
    ("prepare decathlon {d}/mask.png --out {d}/o", "dataset.json"),
    ("prepare decathlon {d}/decathlon_deep --out {d}/o", "dataset.json"),
    ("prepare decathlon {d}/decathlon_null --out {d}/o", "dataset.json"),
    ("prepare decathlon {d}/decathlon_types --out {d}/o", "labels"),
    ("prepare decathlon {d}/decathlon_gone", "--out"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/o", "gone.nii.gz"),
    ("prepare decathlon {d}/decathlon_bad --out {d}/o", "bad.nii.gz"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/zero.png", "zero.png"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/o --window ct_liver", "ct_liver"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/o --window 40,0", "width"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/o --axis 3", "--axis"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/o --per-volume 0", "--per-volume"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/o --smallest 0", "--smallest"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/o --channel 1", "channel"),
    ("prepare decathlon {d}/decathlon_gone --out {d}/o --chanel 1", "--channel"),
    ("prepare decathlon {d}/\udce9 --out {d}/o", "dataset.json"),
    ("prepare folders {d}/images {d}/masks --out {d}/o --window ct_lung", "found pictures"),
    ("prepare folders {d}/images {d}/masks --out {d}/o --class-name a --class-name a", "none twice"),
    ("prepare folders {d}/images {d}/masks --out {d}/o --class-name a --class-name b", "[255]"),
    ("prepare folders {d}/volumes {d}/masks --out {d}/o", "bad.nii.gz"),
    ("qca", "MASK"),
    ("qca {d}/none.png", "none.png"),
    ("qca {d}/empty", "empty"),
    ("qca {d}/zero.png", "zero.png"),
    ("qca {d}/text.png", "text.png"),
    ("qca {d}/bomb.png", "bomb.png"),
    ("qca {d}/bad.nii.gz", "bad.nii.gz"),
    ("qca {d}/short.nii", "short.nii"),
    ("qca {d}/short.dcm", "short.dcm"),
    ("qca {d}/odd[/x]/a.png", "odd[/x]"),
    ("qca {d}/mask.png --spacing 0", "spacing"),
    ("qca {d}/mask.png --spacing nan", "spacing"),
    ("qca {d}/mask.png --spacing x", "--spacing"),
    ("qca {d}/mask.png --catheter 1,2", "--catheter"),
    ("qca {d}/mask.png --json {d}/empty", "empty"),
    ("qca {d}/\udce9.png", ".png"),
    ("qca {d}/" + 300 * "x", "xxx"),
    ("prepare folders {d}/\udce9 {d}/masks --out {d}/o", "expected images"),
    ("prepare arcade {d}/\udce9 --out {d}/o", "syntax"),
    ("prepare combine {d}/\udce9 --out {d}/o --task t", "expected a datalist"),
    ("run {d}/\udce9.png --out {d}/o", ".png"),
    ("adapters show {d}/\udce9", "card.json"),
    ("syntax-score", "LESIONS"),
    ("syntax-score {d}/none.json", "none.json"),
    ("syntax-score {d}/empty", "empty"),
    ("syntax-score {d}/deep.json", "deep.json"),
    ("syntax-score {d}/digits.json", "digits.json"),
    ("syntax-score {d}/latin.json", "latin.json"),
    ("syntax-score {d}/empty.json", "empty.json"),
    ("syntax-score {d}/list.json", "list.json"),
    ("syntax-score {d}/score.json", "score.json"),
    ("syntax-score {d}/lesion.json", "lesion.json"),
    ("adapters list {d}/none", "none"),
    ("adapters list {d}/empty", "empty"),
    ("adapters list {d}/mask.png", "mask.png"),
    ("adapters list {d}/card --nonsense", "--nonsense"),
    ("adapters show {d}/none", "none"),
    ("adapters show {d}/card", "card"),
    ("adapters show {d}/cards/a", "card"),
    ("adapters show {d}/textcard", "card"),
    ("adapters show {d}/mask.png", "mask.png"),
    ("adapters show {d}/odd[/x]", "odd[/x]"),
    ("adapters merge {d}/card --out {d}/o", "card"),
    ("adapters merge {d}/cards/a --out {d}/o", "card"),
    ("adapters export {d}/textcard --out {d}/o", "card"),
    ("adapters import {d}/peft --encoder tniy --out {d}/o", "tiny"),
    ("adapters import {d}/peft --encoder tiny --out {d}/o", "peft"),
    ("adapters budget --encoder tniy", "tiny"),
    ("adapters budget --encoder tiny --rank 0", "from 1"),
    ("adapters lsit", "list"),
    ("demo --out {d}/zero.png", "zero.png"),
    ("demo --out {d}/o --angiogram {d}/none.png", "none.png"),
    ("demo --out {d}/o --nonsense", "--nonsense"),
]


@pytest.mark.parametrize(("line", "word"), [pytest.param(*row, id=ascii(row[0])) for row in WRONG])
def test_a_wrong_command_line_is_one_message(
    folder: Path, line: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)  # MONAI's log keeps the stream of an earlier test.
    result = CliRunner().invoke(app, [part.replace("{d}", str(folder)) for part in line.split()])
    assert result.exit_code != 0
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    assert result.exit_code == USAGE or result.output.count("error: ") <= 1
    assert word.lower() in " ".join(result.output.split()).lower()
