"""Jobs side by side on a processor's cores, for work whose operators are too small to be shared out among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Found = TypeVar("Found")


def of_each(
    job: Callable[[Item], Found],
    items: Sequence[Item],
    workers: int,
    done: Callable[[Found], None] = lambda found: None,
) -> list[Found]:
    """The results of `job` for all items, in their order. Up to `workers` jobs run at once, each with an equal share of
    torch's threads; where torch has one thread they run one after the other. `done` is called with each result, in
    order, in the calling thread; an exception from it or from a job ends the work. Jobs run in the calling thread's
    gradient mode, inference mode and CPU autocast.
    """
    threads = torch.get_num_threads()
    workers = min(threads, workers, len(items))
    results: list[Found] = []
    if workers <= 1:
        for item in items:
            results.append(job(item))
            done(results[-1])
        return results
    gradients, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    lower, dtype = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

    def alike(item: Item) -> Found:  # these modes belong to a thread
        with (
            torch.inference_mode(inference),
            torch.set_grad_enabled(gradients),
            torch.autocast("cpu", dtype, enabled=lower),
        ):
            return job(item)

    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(threads // workers,))
    try:
        for found in pool.map(alike, items):
            results.append(found)
            done(found)
        return results
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the workers changed it: the maths library has one for the whole process
