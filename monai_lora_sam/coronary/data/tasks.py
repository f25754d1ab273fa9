"""Which data set serves which task, and what its labels then are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.coronary.anatomy import ARCADE_CLASS_NAMES
from monai_lora_sam.data import SPLITS, read_datalist, write_datalist

#: What the values of a task's labels mean.
TASK_CLASS_NAMES = {
    "vessels": ["background", "vessel"],
    "segments": ARCADE_CLASS_NAMES,
    "stenosis": ["background", "stenosis"],
}


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
    content = read_datalist(path)
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
    entries = (read_datalist(datalist) if task is None else read_task(datalist, task)).get(split)
    if not entries:
        raise ValueError(f"{datalist}: expected images under {split!r}, found none")
    return entries


def combine_datalists(sources: Sequence[str | Path], out: str | Path, task: str) -> Path:
    """Write the union of data sets, split by split, into ``out/datalist.json``; no image is copied.

    A source that is given twice is twice in the training split and once in the others: so a small real data
    set can hold its own against a large synthetic one.

    Args:
        sources: folders with a ``datalist.json``, or datalists.
        out: folder to write.
        task: "vessels", "segments" or "stenosis"; labels become that task's, see :func:`read_task`.

    Returns:
        path of the datalist.

    Raises:
        ValueError: no source, one that does not serve the task, or a case that is in training and held out.

    Example:
        >>> combine_datalists(["phantoms", "arcade", "arcade"], "mixed", "segments")  # doctest: +SKIP
    """
    if not sources:
        raise ValueError("expected at least one data set to combine, found none")
    contents = [read_task(source, task) for source in sources]
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for index, (source, content) in enumerate(zip(sources, contents, strict=True)):
        for split in SPLITS:
            if split == "training" or source not in sources[:index]:
                splits[split] += content[split]
    held_out = {
        str(entry["case_id"]) for split in SPLITS[1:] for entry in splits[split] if "case_id" in entry
    }
    leaked = sorted(held_out & {str(entry.get("case_id")) for entry in splits["training"]})
    if leaked:
        raise ValueError(
            f"{', '.join(map(str, dict.fromkeys(sources)))}: expected no case in training and held out, "
            f"found {len(leaked)}, such as {leaked[0]}"
        )
    unique = {str(source): content for source, content in zip(sources, contents, strict=True)}.values()
    return write_datalist(
        Path(out) / "datalist.json",
        name="+".join(str(content.get("name")) for content in unique),
        task=task,
        class_names=TASK_CLASS_NAMES[task],
        splits=splits,
        warnings=[warning for content in unique for warning in content.get("warnings", [])],
    )
