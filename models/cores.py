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
    """`job` of each item, in order, up to `workers` at once, which have an equal part of torch's threads each; one by
    one where there is one thread. `done` hears of each result, in order, in the thread that asks; what it or a job
    raises ends the work. Jobs run as the thread that asks would run them: gradients, inference mode, autocast on CPU.
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
        torch.set_num_threads(threads)  # the mathematics library has one number for all threads of the process
