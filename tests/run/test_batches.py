"""The order in which images come: as it ever was, and on the data's device without a wait at every update."""

import numpy as np
import torch
from fake_cuda import CUDA, NEEDS_CUDA_BUILD, OnTheDevice
from torch._subclasses.fake_tensor import FakeTensorMode

from equibench.run.course import Batches

N, SIZE, SEED = 10, 4, 3


def test_images_come_in_shuffled_epochs_of_which_one_joins_the_next():
    batches = Batches(torch.arange(N), SIZE, SEED)
    order = np.random.default_rng(SEED)
    expected = np.concatenate([order.permutation(N) for _ in range(4)])
    drawn = torch.cat([batches.draw() for _ in range(10)])
    assert drawn.tolist() == expected.tolist()


def test_a_batch_larger_than_the_data_takes_several_epochs():
    batches = Batches(torch.arange(3), 8, SEED)
    order = np.random.default_rng(SEED)
    expected = np.concatenate([order.permutation(3) for _ in range(6)])
    assert torch.cat([batches.draw(), batches.draw()]).tolist() == expected[:16].tolist()


@NEEDS_CUDA_BUILD
def test_the_order_is_copied_to_the_device_once_an_epoch():
    with FakeTensorMode(allow_non_fake_inputs=True):
        data = torch.empty((N, 1, 8, 8), dtype=torch.uint8, device=CUDA)
        with OnTheDevice(allowed=4) as watched:
            batches = Batches(data, SIZE, SEED)
            for _ in range(10):  # 40 images, four epochs
                assert batches.draw().device == CUDA
        assert watched.copies == 4
