"""Masks equal those of the networks alone, whoever asks beside."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from monai_lora_sam.prompting import ObjectPrompt, answer_prompt, encode_pixels, segment_image, segment_volume
from monai_lora_sam.serving import (
    ClickEngine,
    EmbeddingCache,
    ImageChanged,
    SessionExpired,
    SessionStore,
    image_key,
)

ENCODER = "medsam_lite"


@pytest.fixture
def engine(shared_pool) -> ClickEngine:
    return ClickEngine(shared_pool, EmbeddingCache(2**24), SessionStore())


def box(*corners: float, name: str = "a") -> ObjectPrompt:
    return ObjectPrompt(name, box=corners)


def points(*given: tuple[float, float, int], name: str = "a") -> ObjectPrompt:
    return ObjectPrompt(name, points=given)


def test_many_users_with_many_adapters_get_the_masks_of_the_networks_alone(engine, load, pictures) -> None:
    folder = engine.pool.adapters
    alone = {ENCODER: load(), "ct": load(folder / "ct"), "us/1": load(folder / "us" / "1")}
    prompts = [box(5, 5, 40, 40), points((20, 20, 1)), points((30, 10, 1), (40, 40, 0))]
    expected = {
        (name, number, index): segment_image(network, picture, [prompt])[0].mask
        for name, network in alone.items()
        for number, picture in enumerate(pictures)
        for index, prompt in enumerate(prompts)
    }
    assert len({mask.tobytes() for mask in expected.values()}) > 9  # the networks differ
    asked = list(expected) * 2
    random.Random(0).shuffle(asked)
    sessions = [engine.open(lambda picture=picture: picture) for picture in pictures]

    def ask(key: tuple[str, int, int]) -> bool:
        name, number, index = key
        fresh = engine.open(lambda: pictures[number]) if index else sessions[number]
        found = engine.click(fresh, prompts[index], name).mask
        return np.array_equal(found, expected[key])

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(ask, asked))
    assert engine.cache.facts.computed == len(alone) * len(pictures)


def test_a_click_refines_the_last_mask_as_the_network_does(engine, load, pictures) -> None:
    first, second = points((20, 20, 1)), points((20, 20, 1), (40, 40, 0))
    network = load()
    embedding = encode_pixels(network, pictures[0])
    logits, _ = answer_prompt(network, embedding, first)
    refined, iou = answer_prompt(network, embedding, second, logits)
    session = engine.open(lambda: pictures[0])
    assert engine.click(session, first).encoded
    answer = engine.click(session, second)
    assert (answer.refined, answer.encoded) == (True, False)
    assert np.array_equal(answer.mask, (refined[0, 0] > 0).numpy())
    assert answer.predicted_iou == pytest.approx(iou)
    again = engine.click(session, first)  # the second point is taken back
    assert not again.refined
    assert np.array_equal(again.mask, (logits[0, 0] > 0).numpy())


def test_another_users_prompts_leave_no_trace(engine, pictures) -> None:
    mine, yours = (engine.open(lambda: pictures[0]) for _ in range(2))
    engine.click(yours, points((20, 20, 1)))
    answer = engine.click(mine, points((20, 20, 1), (40, 40, 0)))
    assert not answer.refined


def test_an_image_is_encoded_before_the_first_click(engine, pictures) -> None:
    session = engine.open(lambda: pictures[1])
    assert engine.prepare(session)
    assert not engine.prepare(session)
    assert not engine.click(session, box(1, 1, 30, 30)).encoded


def test_clients_without_a_session_share_the_cache(engine, load, pictures) -> None:
    prompts = [box(5, 5, 40, 40, name="one"), points((20, 20, 1), name="two")]
    found = engine.segment(pictures[2], prompts, "ct")
    expected = segment_image(load(engine.pool.adapters / "ct"), pictures[2], prompts)
    assert [one.prompt.name for one in found] == ["one", "two"]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(found, expected, strict=True))
    assert not engine.click(engine.open(lambda: pictures[2]), prompts[0], "ct").encoded


def test_a_volume_equals_the_network_alone_and_slices_come_from_the_cache(engine, load) -> None:
    volume = np.random.default_rng(1).random((40, 48, 4), dtype=np.float32)
    prompts = [ObjectPrompt("one", box=(5, 5, 40, 30), slice_index=1)]
    expected = segment_volume(load(engine.pool.adapters / "ct"), volume, prompts, (0, 3))
    found = engine.segment_volume(volume, prompts, "ct", (0, 3))
    assert np.array_equal(found[0].mask, expected[0].mask)
    assert engine.cache.facts.computed == 4
    engine.segment_volume(volume, [ObjectPrompt("two", box=(1, 1, 20, 30), slice_index=2)], "ct", (0, 3))
    assert engine.cache.facts.computed == 4


def test_a_replaced_image_is_an_error_once_its_embedding_is_gone(engine, pictures) -> None:
    shown = [pictures[0]]
    session = engine.open(lambda: shown[0])
    shown[0] = pictures[1]
    with pytest.raises(ImageChanged, match="open it again"):
        engine.click(session, box(1, 1, 30, 30))


def test_bad_requests_say_which(engine, pictures) -> None:
    session = engine.open(lambda: pictures[0])
    with pytest.raises(ValueError, match="a: points: expected x below 64"):
        engine.click(session, points((64, 3, 1)))
    with pytest.raises(KeyError, match="nearest: 'ct'"):
        engine.click(session, points((6, 3, 1)), "ctt")
    with pytest.raises(SessionExpired):
        engine.click("guessed", points((6, 3, 1)))


def test_an_image_is_known_by_its_content() -> None:
    picture = np.zeros((2, 8, 3), np.float32)
    assert image_key(picture) == image_key(picture.copy())
    assert image_key(picture) != image_key(picture.reshape(4, 4, 3))
    assert image_key(picture) != image_key(picture.astype(np.float64))
    assert torch.is_inference_mode_enabled() is False
