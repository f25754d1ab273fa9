"""Turn ReasonSeg (Lai et al., "LISA: Reasoning Segmentation via Large Language Model", CVPR 2024) into a datalist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from monai_lora_sam.data.datalist import SPLITS, write_datalist
from monai_lora_sam.data.dataset_errors import ErrorList
from monai_lora_sam.data.question_entries import IGNORED, MARK
from monai_lora_sam.files import atomic_file
from monai_lora_sam.images import read_colour_image

#: Folder of ReasonSeg → split of a datalist.
FOLDERS = {"train": "training", "val": "validation", "test": "test"}
CLASS_NAMES = ["background", "target", IGNORED]
#: Label of a polygon → value in the label's file; a flag is none.
_VALUES = {"target": 1, "ignore": 2}
#: LISA's wordings of a description that is a sentence, and of one that is a phrase.
_LONG = ("{text} Please respond with segmentation mask.", "{text} Please output segmentation mask.")
_SHORT = (
    "Can you segment the {text} in this image?",
    "Please segment the {text} in this image.",
    "What is {text} in this image? Please respond with segmentation mask.",
)


def prepare_reasonseg(source: str | Path, out: str | Path) -> Path:
    """Write the masks of ReasonSeg's polygons and a datalist with its questions; no image is copied.

    An annotation `X.json` lies beside `X.jpg`: `text`, one or several descriptions, `is_sentence`, and `shapes` with
    `label` (target, ignore or flag) and `points` as (x, y). Polygons are drawn from the largest to the smallest, as the
    authors draw them; flags are left out. Files are UTF-8 or cp1252.

    Args:
        source: folder with `train`, `val` and `test`, or some of them.
        out: folder of `labels` (0 background, 1 target, 2 ignore) and `datalist.json`.

    Returns:
        The datalist.

    Raises:
        DatasetError: all annotations that are damaged, together.
        ValueError: no annotation.

    Example:
        >>> prepare_reasonseg("ReasonSeg", "data/reasonseg")  # doctest: +SKIP
        PosixPath('data/reasonseg/datalist.json')
    """
    source, out = Path(source), Path(out)
    errors = ErrorList()
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for name, split in FOLDERS.items():
        for file in sorted((source / name).glob("*.json")):
            try:
                splits[split].append(_entry(file, out / "labels" / name / f"{file.stem}.png"))
            except (OSError, ValueError) as error:
                errors.add(file, str(error))
    errors.raise_if_any()
    if not any(splits.values()):
        raise ValueError(
            f"{source}: expected annotations (X.json beside X.jpg) in {', '.join(FOLDERS)}, found none"
        )
    return write_datalist(
        out / "datalist.json", name="ReasonSeg", task="questions", class_names=CLASS_NAMES, splits=splits
    )


def draw_shapes(shapes: Any, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw polygons from the largest to the smallest; flags are left out.

    Args:
        shapes: of an annotation.
        size: rows and columns.

    Returns:
        (H, W): 1 target, 2 ignore.

    Raises:
        ValueError: shapes of another form.

    Example:
        >>> square = {"label": "target", "points": [[0, 0], [2, 0], [2, 2], [0, 2]]}
        >>> int(draw_shapes([square], (4, 4)).sum())
        9
    """
    if not isinstance(shapes, list):
        raise ValueError(f"expected a list of shapes, found {shapes!r:.80}")
    drawn = []
    for shape in shapes:
        label = shape.get("label") if isinstance(shape, dict) else None
        if not isinstance(label, str):
            raise ValueError(f"expected a shape with a label, found {shape!r:.80}")
        if label.lower() == "flag":
            continue
        value = _VALUES["ignore" if "ignore" in label.lower() else "target"]  # as the authors read them
        points = np.asarray(shape.get("points"), dtype=float)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 3 or not np.isfinite(points).all():
            raise ValueError(
                f"expected three points (x, y) or more of a shape, found {shape.get('points')!r:.80}"
            )
        picture = Image.new("1", size[::-1])
        whole = [tuple(map(int, point)) for point in points]  # cut to whole numbers, as the authors do
        ImageDraw.Draw(picture).polygon(whole, fill=1, outline=1)
        drawn.append((np.asarray(picture), value))
    label_map = np.zeros(size, np.uint8)
    for mask, value in sorted(drawn, key=lambda one: -int(one[0].sum())):
        label_map[mask] = value
    return label_map


def _entry(file: Path, target: Path) -> dict[str, Any]:
    content = _read(file)
    image = file.with_suffix(".jpg")
    if not image.is_file():
        raise ValueError(f"expected the image {image.name} beside it, found none")
    texts = content.get("text")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) and t.strip() for t in texts):
        raise ValueError(f"expected a description under 'text', found {texts!r:.80}")
    label = draw_shapes(content.get("shapes"), read_colour_image(image).pixels.shape[:2])
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as temporary:
        Image.fromarray(label).save(temporary, format="PNG")
    templates = _LONG if content.get("is_sentence") else _SHORT
    return {
        "image": str(image.resolve()),
        "label": str(target.resolve()),
        "case_id": file.stem,
        "facts": [
            {
                "fact": file.stem,
                "questions": [template.format(text=text.strip()) for text in texts for template in templates],
                "answer": f"It is {MARK}.",
                "masks": ["target"],
            }
        ],
    }


def _read(file: Path) -> dict[str, Any]:
    """Read JSON in UTF-8 or, as some of the published files are, in cp1252."""
    content = file.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252")
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON, found {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, found {found!r:.80}")
    return found
