"""Jobs side by side on cores: in order, with a part of the threads each, and none left behind."""

import threading
import time

import pytest
import torch

from equibench_models.cores import of_each


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_results_are_in_order_whoever_ends_first():
    heard = []
    found = of_each(lambda i: time.sleep(0.02 * (i % 2 == 0)) or 10 * i, range(6), 2, heard.append)
    assert found == heard == [0, 10, 20, 30, 40, 50]


def test_two_run_at_once_with_a_thread_of_torch_each():
    both = threading.Barrier(2, timeout=30)  # which one alone would not pass

    def job(_):
        both.wait()
        return torch.get_num_threads()

    assert of_each(job, range(4), 2) == [1, 1, 1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("threads", "workers"), [(1, 2), (2, 1)])
def test_one_worker_is_the_thread_that_asks_with_all_of_torch_s(threads, workers):
    torch.set_num_threads(threads)
    here = threading.get_ident(), threads
    assert of_each(lambda _: (threading.get_ident(), torch.get_num_threads()), range(2), workers) == [here, here]


def test_what_is_raised_ends_the_work():
    begun = []

    def job(i):
        begun.append(i)
        time.sleep(0.01)

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        of_each(job, range(100), 2, stop)
    assert len(begun) < 100
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("lower", [False, True])
def test_jobs_run_in_the_modes_of_who_asks(lower):
    def modes(_):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
        return product.dtype, torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=lower):
        dtype = torch.bfloat16 if lower else torch.float32
        assert of_each(modes, range(2), 2) == [(dtype, False, False)] * 2
    with torch.inference_mode():
        assert of_each(modes, range(2), 2) == [(torch.float32, False, True)] * 2
    assert of_each(modes, range(2), 2) == [(torch.float32, True, False)] * 2
