"""Work ahead on a stream in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_ahead(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int, ahead: int
) -> Iterator[Result]:
    """Yield a function's results in the order of the items, while threads work on the next ones.

    Memory holds at most ``ahead`` results, however long the stream is.

    Args:
        function: called in threads; its error is raised when its result is due.
        items: taken from the stream as they are needed.
        threads: how many.
        ahead: most items in work or done and not yet taken.

    Example:
        >>> list(map_ahead(abs, [-1, 2, -3], threads=2, ahead=2))
        [1, 2, 3]
    """
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
