"""Find the folder of a trained stage or adapter by its name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from monai_lora_sam.adapters import list_adapters
from monai_lora_sam.registry import Registry

CARD = "card.json"
#: Folders of trained stages that installed packages carry.
INSTALLED_STAGES = Registry("monai_lora_sam.stages", "folder of stages")
#: Adapters of modalities that come with this package, a folder for each encoder.
SHIPPED_ADAPTERS = Path(__file__).resolve().parents[1] / "assets" / "adapters"


def installed_folders() -> list[Path]:
    """Return the folders of trained stages that this package and other installed ones carry."""
    own = [SHIPPED_ADAPTERS] if SHIPPED_ADAPTERS.is_dir() else []
    return [*own, *(Path(INSTALLED_STAGES.load(name)) for name in INSTALLED_STAGES.names())]


def find_stage(name: str | Path) -> Path:
    """Return a folder as it is, or that of the installed stage of a name.

    The folder of an adaptation stands for its ``adapter``.

    Raises:
        FileNotFoundError: neither a folder nor the name of an installed stage.

    Example:
        >>> find_stage("vessels").name
        'vessels'
    """
    if Path(name).is_dir():
        of_adaptation = (Path(name) / "adapter" / CARD).is_file() and not (Path(name) / CARD).is_file()
        return Path(name) / "adapter" if of_adaptation else Path(name)
    known: dict[str, Path] = {}
    for root in installed_folders():
        for card in list_adapters(root):
            if "error" not in card:
                known.setdefault(str(card["name"]), Path(card["folder"]))
    if str(name) in known:
        return known[str(name)]
    near = get_close_matches(str(name), known, n=1)
    nearest = f" (nearest: {near[0]!r})" if near else ""
    raise FileNotFoundError(f"expected a folder or one of {sorted(known)}, found {str(name)!r}{nearest}")


def find_parents(card: Mapping[str, Any]) -> list[Path]:
    """Return the folders of a stage's parents among the installed stages, first to last, found by fingerprint.

    Args:
        card: of the stage. Parents that are not installed are left out.

    Example:
        >>> find_parents(read_stage_card(find_stage("segments")))[0].name  # doctest: +SKIP
        'vessels'
    """
    if not card["parents"]:
        return []
    cards = [one for root in installed_folders() for one in list_adapters(root) if "error" not in one]
    known = {(one["name"], one["fingerprint"]): Path(one["folder"]) for one in cards}
    wanted = [(parent["name"], parent["fingerprint"]) for parent in card["parents"]]
    return [known[one] for one in wanted if one in known]
