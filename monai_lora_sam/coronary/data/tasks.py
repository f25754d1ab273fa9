"""Read a datalist for one of the three tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.data import SPLITS, read_datalist

#: Class names of each task, in the order of the values in its labels.
TASK_CLASS_NAMES = {
    "vessels": ["background", "vessel"],
    "segments": ARCADE_CLASS_NAMES,
    "stenosis": ["background", "stenosis"],
}

#: Keys of a phantom's further files.
_PATH_KEYS = ("segments", "truth")


def read_task(path: str | Path, task: str) -> dict[str, Any]:
    """Read a datalist for one task: `label` is then that task's.

    Phantoms serve every task: their vessel masks, segment maps and lesions lie side by side. For ``segments``
    the segment map becomes the `label`; for ``stenosis`` there is no `label`, since lesions are boxes and
    figures under `lesions` or in the `truth`.

    Args:
        path: of the datalist, or of the folder that holds ``datalist.json``.
        task: "vessels", "segments" or "stenosis".

    Raises:
        ValueError: an unknown task, or a data set that does not serve it.

    Example:
        >>> read_task("data/phantoms", "segments")["class_names"][:3]  # doctest: +SKIP
        ['background', '1', '2']
    """
    if task not in TASK_CLASS_NAMES:
        raise ValueError(f"task: expected one of {sorted(TASK_CLASS_NAMES)}, found {task!r}")
    path = Path(path)
    path = path / "datalist.json" if path.is_dir() else path
    content = read_datalist(path, _PATH_KEYS)
    own = content.get("class_names") == TASK_CLASS_NAMES[task]
    entries = [entry for split in SPLITS for entry in content[split]]
    carries = {
        "vessels": own,
        "segments": own or all("segments" in entry for entry in entries),
        "stenosis": all("lesions" in entry or "truth" in entry for entry in entries),
    }
    if not carries[task]:
        raise ValueError(
            f"{path}: expected a data set for the task {task!r} (class names {TASK_CLASS_NAMES[task]}), "
            f"found task {content.get('task')!r} with class names {content.get('class_names')}"
        )
    for entry in entries:
        if task == "stenosis":
            entry.pop("label", None)
        elif task == "segments" and "segments" in entry:
            entry["label"] = entry.pop("segments")
    return {**content, "task": task, "class_names": TASK_CLASS_NAMES[task]}


def read_split(datalist: str | Path, split: str, task: str | None = None) -> list[dict[str, Any]]:
    """Return a split's entries of a datalist, with the labels of a task if one is named.

    Raises:
        ValueError: if there are none: MONAI's engines pass over an empty loader with a warning; or if the data
            set does not serve the task.
    """
    content = read_datalist(datalist, _PATH_KEYS) if task is None else read_task(datalist, task)
    entries = content.get(split)
    if not entries:
        raise ValueError(f"{datalist}: expected images under {split!r}, found none")
    return entries
