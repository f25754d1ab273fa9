"""Draw phantoms, and real angiograms beside them, on one contact sheet.

    python scripts/phantom_contact_sheet.py --out sheet.png --arcade ../shared/data/arcade/syntax/val

Each picture stands above its truth: vessels in grey, named segments in a colour each. The real pictures are research
data: look at the sheet, do not publish it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from skimage.color import hsv2rgb

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.coronary.phantom import PhantomConfig, generate_phantom
from monai_lora_sam.files import atomic_file

Pair = tuple[np.ndarray, np.ndarray]  # a grey picture and its truth in colour


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--arcade", type=Path, help="folder with images/ and annotations/ of ARCADE")
    parser.add_argument("--count", type=int, default=8, help="pictures of each kind")
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--implants", type=float, default=0.0, help="share of phantoms with implants")
    parser.add_argument("--weak-filling", type=float, default=0.0, help="share that is filled weakly or late")
    arguments = parser.parse_args()
    if arguments.count < 1 or arguments.columns < 1:
        parser.error("--count and --columns must be at least 1")

    config = PhantomConfig(implants=arguments.implants, weak_filling=arguments.weak_filling)
    started = time.process_time()
    phantoms = [phantom_pair(arguments.seed + index, config) for index in range(arguments.count)]
    seconds = time.process_time() - started
    print(
        f"{arguments.count} phantoms in {seconds:.2f} s: {arguments.count / seconds:.1f} images/s on one core"
    )
    groups = [("phantoms", phantoms)]
    if arguments.arcade is not None:
        groups.append(("ARCADE", real_pairs(arguments.arcade, arguments.count, arguments.seed)))
    write_sheet(arguments.out, groups, arguments.columns)
    print(f"written: {arguments.out}")


def coloured(segments: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8: named segments in colour, other vessels in grey."""
    hue = np.arange(len(ARCADE_CLASS_NAMES)) * 0.381966 % 1.0  # the golden angle keeps neighbours apart
    palette = hsv2rgb(np.stack([hue, np.full_like(hue, 0.8), np.ones_like(hue)], axis=1))
    palette[0] = 0.0
    colours = palette[segments]
    colours[vessels & (segments == 0)] = 0.4
    return np.rint(255 * colours).astype(np.uint8)


def phantom_pair(seed: int, config: PhantomConfig) -> Pair:
    """Return the picture and the coloured truth of a phantom."""
    phantom = generate_phantom(seed, config)
    return phantom.image, coloured(phantom.segment_mask, phantom.vessel_mask)


def real_pairs(folder: Path, count: int, seed: int) -> list[Pair]:
    """Return randomly chosen real angiograms with their annotated segments."""
    files = sorted((folder / "annotations").glob("*.json"))
    if not files:
        raise SystemExit(f"{folder}: expected images/ and annotations/*.json, found {os.listdir(folder)}")
    truth = json.loads(files[0].read_text())
    chosen = np.random.default_rng(seed).permutation(len(truth["images"]))[:count]
    pairs = []
    for index in chosen:
        entry = truth["images"][index]
        picture = Image.open(folder / "images" / entry["file_name"]).convert("L")
        labels = Image.new("L", picture.size)
        draw = ImageDraw.Draw(labels)
        for annotation in truth["annotations"]:
            if annotation["image_id"] == entry["id"] and annotation["category_id"] < len(ARCADE_CLASS_NAMES):
                for polygon in annotation["segmentation"]:
                    draw.polygon(polygon, fill=annotation["category_id"])
        segments = np.asarray(labels)
        pairs.append((np.asarray(picture), coloured(segments, segments > 0)))
    return pairs


def write_sheet(out: Path, groups: list[tuple[str, list[Pair]]], columns: int, side: int = 300) -> None:
    """Write the groups below each other, each picture above its truth."""
    rows = sum(-(-len(pairs) // columns) for _, pairs in groups)
    sheet = Image.new("RGB", (columns * side, rows * 2 * side))
    draw = ImageDraw.Draw(sheet)
    top = 0
    for name, pairs in groups:
        for index, (picture, truth) in enumerate(pairs):
            row, column = divmod(index, columns)
            corner = (column * side, top + row * 2 * side)
            sheet.paste(Image.fromarray(picture).convert("RGB").resize((side, side)), corner)
            sheet.paste(
                Image.fromarray(truth).resize((side, side), Image.Resampling.NEAREST),
                (corner[0], corner[1] + side),
            )
            draw.text((corner[0] + 6, corner[1] + 4), name, fill=(255, 220, 0))
        top += -(-len(pairs) // columns) * 2 * side
    with atomic_file(out) as temporary:
        sheet.save(temporary, format="PNG")


if __name__ == "__main__":
    main()
