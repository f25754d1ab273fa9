"""Unite data sets of one task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_lora_sam.data.check_splits import check_splits
from monai_lora_sam.data.datalist import SPLITS, read_datalist, write_datalist
from monai_lora_sam.registry import Registry

#: Functions ``read(path, task)`` that read a datalist for a task. A package offers a reader for a task where one
#: data set serves several, so that labels have to be chosen.
TASKS = Registry("monai_lora_sam.tasks", "task")


def combine_datalists(sources: Sequence[str | Path], out: str | Path, task: str) -> Path:
    """Write the union of data sets, split by split, into ``out/datalist.json``; no image is copied.

    A source that is given twice is twice in the training split and once in the others: so a small real data
    set can hold its own against a large synthetic one.

    Args:
        sources: folders with a ``datalist.json``, or datalists.
        out: folder to write.
        task: of all sources. A task that a package offers (see ``TASKS``) is read by that package's function.

    Returns:
        path of the datalist.

    Raises:
        ValueError: no source, one that does not serve the task, other class names than the first source has, or
            a case or a picture that is in two splits.

    Example:
        >>> combine_datalists(["kidneys_a", "kidneys_b", "kidneys_b"], "mixed", "kidney")  # doctest: +SKIP
    """
    if not sources:
        raise ValueError("expected at least one data set to combine, found none")
    read = TASKS.load(task) if task in TASKS.names() else _read_own_task
    contents = [read(source, task) for source in sources]
    class_names = contents[0].get("class_names")
    if not class_names:
        raise ValueError(f"{sources[0]}: expected class_names, found none")
    splits: dict[str, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for index, (source, content) in enumerate(zip(sources, contents, strict=True)):
        if content.get("class_names") != class_names:
            raise ValueError(
                f"{source}: expected the class names {class_names} as in {sources[0]}, "
                f"found {content.get('class_names')}"
            )
        for split in SPLITS:
            if split == "training" or source not in sources[:index]:
                splits[split] += content[split]
    check_splits(splits, ", ".join(map(str, dict.fromkeys(sources))))
    unique = {str(source): content for source, content in zip(sources, contents, strict=True)}.values()
    return write_datalist(
        Path(out) / "datalist.json",
        name="+".join(str(content.get("name")) for content in unique),
        task=task,
        class_names=class_names,
        splits=splits,
        warnings=[warning for content in unique for warning in content.get("warnings") or []],
    )


def _read_own_task(source: str | Path, task: str) -> dict[str, Any]:
    path = Path(source)
    path = path / "datalist.json" if path.is_dir() else path
    content = read_datalist(path)
    if content.get("task") != task:
        raise ValueError(f"{path}: expected a data set for the task {task!r}, found {content.get('task')!r}")
    return content
