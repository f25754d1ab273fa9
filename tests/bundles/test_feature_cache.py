"""Stage 1's head on stored features: the same training as without, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.utils import set_determinism

from monai_lora_sam.adapters import AdapterStack
from monai_lora_sam.handlers import read_history
from monai_lora_sam.workflows import run_bundle

BUNDLE = "vessel_segmentation"
Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module", autouse=True)
def leave_generators_unseeded() -> Iterator[None]:
    yield
    set_determinism(None)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the batch of each pass through the encoder."""
    batches: list[int] = []
    forward = AdapterStack.forward

    def counted(self: AdapterStack, image: torch.Tensor) -> list[torch.Tensor]:
        batches.append(len(image))
        return forward(self, image)

    monkeypatch.setattr(AdapterStack, "forward", counted)
    return batches


def test_trains_as_without_and_runs_the_encoder_once_an_image(
    passes: list[int], settings: Settings, tmp_path: Path
):
    more: dict[str, Any] = {"strategy": "frozen", "augment": False, "epochs": 3}
    run_bundle(BUNDLE, overrides=settings(tmp_path / "without", **more))
    assert sum(passes) == 3 * (4 + 3)  # four images to train on, three to validate on
    passes.clear()
    run_bundle(BUNDLE, overrides=settings(tmp_path / "with", feature_cache=True, **more))
    assert sum(passes) == 4 + 3
    without, cached = (read_history(tmp_path / name / "history.jsonl") for name in ("without", "with"))
    for line, expected in zip(cached, without, strict=True):
        assert line["loss"] == pytest.approx(expected["loss"], rel=1e-3)  # float16 has 11 significant bits
        assert line["val_dice"] == pytest.approx(expected["val_dice"], abs=0.01)
    passes.clear()
    options = settings(tmp_path / "again", feature_cache=True, **more)
    run_bundle(BUNDLE, overrides=options | {"feature_cache_dir": str(tmp_path / "with" / "feature_cache")})
    assert passes == []
    again = read_history(tmp_path / "again" / "history.jsonl")
    assert [line["loss"] for line in again] == [line["loss"] for line in cached]


def test_augmented_copies_are_trained_on(passes: list[int], settings: Settings, tmp_path: Path):
    more = {"strategy": "frozen", "feature_cache": True, "feature_copies": 2, "epochs": 3}
    run = run_bundle(BUNDLE, overrides=settings(tmp_path / "first", **more))
    assert sum(passes) == 3 * 4 + 3
    assert len(run.parser.get_parsed_content("train#dataset")) == 4
    run_bundle(BUNDLE, overrides=settings(tmp_path / "second", **more))
    first, second = (read_history(tmp_path / name / "history.jsonl") for name in ("first", "second"))
    assert [line["loss"] for line in first] == [line["loss"] for line in second]


@pytest.mark.parametrize("strategy", ["lora", "last_n", "full"])
def test_a_strategy_that_moves_the_features_is_refused(strategy: str, settings: Settings, tmp_path: Path):
    with pytest.raises(Exception) as caught:
        run_bundle(BUNDLE, overrides=settings(tmp_path, strategy=strategy, feature_cache=True))
    chain, error = [], caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__ or error.__context__
    message = f"feature_cache: expected strategy 'frozen', .* found '{strategy}'"
    assert any(re.search(message, text) for text in chain)
    assert not (tmp_path / "feature_cache").exists()
