"""Train an adapter by its bundle, and score the network before and after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from monai_lora_sam.adaptation.comparison import Rows, score, score_automatic, spaced, summarise_rows
from monai_lora_sam.adaptation.plan import Plan
from monai_lora_sam.adaptation.request import BUNDLE, DEFAULT_ENCODER, AdaptationRequest
from monai_lora_sam.adapters import read_card
from monai_lora_sam.handlers import read_history
from monai_lora_sam.networks import AdaptedSegmenter, PromptableSegmenter, StageNetwork, build_promptable
from monai_lora_sam.stages import load_stage
from monai_lora_sam.workflows import run_bundle

#: Called with a kind of items, the number done and the number of all.
Watch = Callable[[str, int, int], Any]


@dataclass(frozen=True)
class TrainedAdapter:
    """Hold a trained adapter and its scores.

    Attributes:
        folder: the best stage of the training.
        parameters: number of those that trained.
        before, after: rows of scores of the base and of the adapter, by object and kind of prompt; without prompts
            the base finds nothing, and `before` is empty.
        before_folder, after_folder: where their masks are.
        scored: the entries behind the rows.
        history: a line for each epoch.
    """

    folder: Path
    parameters: int
    before: Rows
    after: Rows
    before_folder: Path
    after_folder: Path
    scored: list[dict[str, Any]]
    history: list[dict[str, Any]]

    @property
    def comparison(self) -> list[dict[str, Any]]:
        """The means of both and the gain, for each kind of prompt; without prompts the mean of each kind of object."""
        return summarise_rows(self.before, self.after)


def train_and_score(
    request: AdaptationRequest,
    datalist: Path,
    class_names: Sequence[str],
    held_out: Sequence[dict[str, Any]],
    plan: Plan,
    out: Path,
    device: torch.device,
    watch: Watch,
) -> TrainedAdapter:
    """Score the base, train an adapter on a datalist, and score it; given again it goes on where it stopped.

    Args:
        request: name and keys.
        datalist: with training and validation images.
        class_names: background first.
        held_out: entries that score both.
        plan: settings that fit the machine; keys of the request win.
        out: folder for `training` and `scores`.
        device: of the training.
        watch: follows the scoring.
    """
    keys: dict[str, Any] = {**plan.settings, **request.keys}
    scored = spaced(held_out)

    def scores_of(name: str, network: StageNetwork) -> tuple[Rows, Path]:
        folder, done = out / "scores" / name, 0

        def advance() -> None:
            nonlocal done
            done += 1
            watch("scored images", done, len(scored))

        network = network.to(device)
        if isinstance(network, PromptableSegmenter):
            return score(network, scored, class_names, folder, advance), folder
        assert isinstance(network, AdaptedSegmenter)  # as the bundle trains it
        return score_automatic(network, scored, class_names, folder, advance), folder

    before, before_folder = (
        ([], out / "scores" / "before") if request.automatic else scores_of("before", _base(keys))
    )
    run = run_bundle(
        BUNDLE,
        request.configuration,
        {
            **keys,
            "dataset_dir": str(datalist.parent),
            "datalist_file": str(datalist),
            "output_dir": str(out / "training"),
            "adapter_name": request.name,
            "device": str(device),
        },
    )
    parameters = sum(parameter.numel() for parameter in run.parser.get_parsed_content("trained"))
    best = out / "training" / "best"
    stage = load_stage(
        best, pretrained=keys.get("pretrained", True), mixed_precision=keys.get("mixed_precision", True)
    )
    # Another training in the same folder gets scores of its own.
    after, after_folder = scores_of(f"after_{read_card(best)['fingerprint'][:8]}", stage)
    history = read_history(out / "training" / "history.jsonl")
    return TrainedAdapter(best, parameters, before, after, before_folder, after_folder, scored, history)


def _base(keys: Mapping[str, Any]) -> PromptableSegmenter:
    return build_promptable(
        keys.get("encoder_name", DEFAULT_ENCODER),
        keys.get("pretrained", True),
        keys["image_size"],
        keys.get("mixed_precision", True),
        keys.get("quantise"),
    )
