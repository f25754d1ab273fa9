"""Sessions are apart, end when nobody uses them, and are held by one request at a time."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from monai_lora_sam.prompting import ObjectPrompt
from monai_lora_sam.serving import ClickSession, SessionExpired, SessionStore


def session(name: str = "image") -> ClickSession:
    return ClickSession(name, lambda: np.zeros((4, 4, 3), np.float32), (4, 4))


def prompt(*points: tuple[float, float, int], box=None, name: str = "a") -> ObjectPrompt:
    return ObjectPrompt(name, box, points)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_ends_and_use_renews_it() -> None:
    clock = Clock()
    store = SessionStore(lease_s=10, clock=clock)
    kept, left = store.open(session()), store.open(session())
    clock.now = 6
    with store.use(kept):
        pass
    clock.now = 12
    with store.use(kept) as found:
        assert found.image == "image"
    with pytest.raises(SessionExpired, match="open the image again"), store.use(left):
        pass
    assert len(store) == 1


def test_beyond_the_limit_the_session_used_longest_ago_ends() -> None:
    store = SessionStore(limit=2)
    first, second = store.open(session("1")), store.open(session("2"))
    with store.use(first):
        pass
    store.open(session("3"))
    with pytest.raises(SessionExpired), store.use(second):
        pass
    with store.use(first) as found:
        assert found.image == "1"


def test_a_closed_session_is_gone() -> None:
    store = SessionStore()
    name = store.open(session())
    store.close(name)
    store.close(name)
    with pytest.raises(SessionExpired), store.use(name):
        pass


def test_one_request_at_a_time_holds_a_session_and_others_go_on() -> None:
    store, inside, together = SessionStore(), [], []
    name, other = store.open(session()), store.open(session())

    def work() -> None:
        with store.use(name):
            inside.append(1)
            together.append(len(inside))
            time.sleep(0.02)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(5)]
    with store.use(name):
        for thread in threads:
            thread.start()
        with store.use(other):
            assert not together
    for thread in threads:
        thread.join()
    assert together == [1] * 5


def test_only_a_prompt_that_adds_points_is_refined() -> None:
    one, logits = session(), torch.ones(1, 1, 4, 4)
    one.remember("net", prompt((1, 1, 1)), logits)
    assert one.previous("net", prompt((1, 1, 1), (2, 2, 0))) is logits
    assert one.previous("net", prompt((1, 1, 1))) is None
    assert one.previous("net", prompt((2, 2, 1), (1, 1, 1))) is None
    assert one.previous("net", prompt((1, 1, 1), (2, 2, 0), box=(0, 0, 2, 2))) is None
    assert one.previous("net", prompt((1, 1, 1), (2, 2, 0), name="b")) is None
    assert one.previous("other", prompt((1, 1, 1), (2, 2, 0))) is None


def test_logits_of_few_objects_are_kept() -> None:
    one = session()
    for number in range(9):
        one.remember("net", prompt((1, 1, 1), name=str(number)), torch.ones(1, 1, 4, 4))
    kept = [n for n in range(9) if one.previous("net", prompt((1, 1, 1), (2, 2, 1), name=str(n))) is not None]
    assert kept == [5, 6, 7, 8]


@pytest.mark.parametrize(("lease", "limit"), [(0, 1), (float("nan"), 1), (1, 0)])
def test_a_lease_and_a_limit_are_checked(lease: float, limit: int) -> None:
    with pytest.raises(ValueError, match="expected a lease above 0"):
        SessionStore(lease, limit)
