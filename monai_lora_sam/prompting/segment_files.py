"""Segment the same objects in every picture of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_lora_sam.images import is_image_name, read_colour_image
from monai_lora_sam.networks import AdaptedSegmenter, PromptableSegmenter, TextSegmenter
from monai_lora_sam.prompting.find_objects import find_objects
from monai_lora_sam.prompting.object_prompt import ObjectPrompt
from monai_lora_sam.prompting.segment_image import segment_image
from monai_lora_sam.prompting.write_objects import write_objects


def segment_files(
    network: PromptableSegmenter | TextSegmenter | AdaptedSegmenter,
    source: str | Path,
    prompts: Sequence[ObjectPrompt] | None,
    out: str | Path,
    class_names: Sequence[str] = (),
) -> list[tuple[Path, str | None]]:
    """Segment prompted objects in a picture, or in each picture of a folder, and carry on past a bad one.

    Args:
        network: in evaluation mode.
        source: a picture or a folder of pictures.
        prompts: the objects, in pixels of each picture; None takes the whole picture for the box of one object. A
            network that needs no prompt finds its own.
        out: gets a folder for each picture, named after it, with the files of :func:`write_objects`.
        class_names: of the maps of a network that needs no prompt.

    Returns:
        Each picture with its error, or with None where it was segmented.

    Raises:
        FileNotFoundError: no such file or folder, or no picture in it.
        ValueError: prompts for a network that needs none.

    Example:
        >>> segment_files(network, "study", [ObjectPrompt("kidney", box=(120, 187, 184, 250))], "results")
        ... # doctest: +SKIP
    """
    if isinstance(network, AdaptedSegmenter) and prompts:
        raise ValueError("expected no prompts for a network that needs none, found some")
    outcomes: list[tuple[Path, str | None]] = []
    for path, folder in pictures_of(source, out):
        try:
            pixels = read_colour_image(path).pixels
            if isinstance(network, AdaptedSegmenter):
                found = find_objects(network, pixels, class_names)
            else:
                height, width = pixels.shape[:2]
                asked = prompts or [ObjectPrompt("object", box=(0, 0, width, height))]
                found = segment_image(network, pixels, asked)
            made_by = {"image": str(path), "encoder": network.stack.encoder.name}
            write_objects(folder, pixels, found, made_by)
            outcomes.append((path, None))
        except (OSError, ValueError) as error:
            outcomes.append((path, str(error)))
    return outcomes


def pictures_of(source: str | Path, out: str | Path) -> list[tuple[Path, Path]]:
    """Return a picture, or those of a folder, each with the folder of its results below ``out``, named after it.

    Raises:
        FileNotFoundError: no such file or folder, or no picture in it.

    Example:
        >>> pictures_of("study/a.png", "results")  # doctest: +SKIP
        [(PosixPath('study/a.png'), PosixPath('results/a'))]
    """
    source, out = Path(source), Path(out)
    files = [source] if source.is_file() else []
    if source.is_dir():
        files = [path for path in sorted(source.iterdir()) if path.is_file() and is_image_name(path)]
    if not files:
        raise FileNotFoundError(
            f"{source}: expected a picture or a folder of pictures, found {'none' if source.exists() else 'nothing'}"
        )
    return [(path, out / path.name.removesuffix(".gz").rsplit(".", 1)[0]) for path in files]
