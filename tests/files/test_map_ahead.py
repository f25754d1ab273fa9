"""Working ahead on a stream."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from monai_lora_sam.files import map_ahead


def test_results_come_in_order_and_no_more_are_kept_than_asked_for():
    started: list[int] = []
    squares = map_ahead(lambda n: started.append(n) or n * n, count(), threads=3, ahead=5)
    assert [next(squares) for _ in range(10)] == [n * n for n in range(10)]
    assert len(started) <= 15
    squares.close()


def test_the_next_items_are_in_work_while_one_is_used():
    second = threading.Event()
    results = map_ahead(lambda n: second.set() if n else None, [0, 1], threads=1, ahead=2)
    next(results)
    assert second.wait(10)


def test_an_error_is_raised_when_its_result_is_due():
    results = map_ahead(lambda n: 1 // n, [1, 0, 1], threads=2, ahead=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
