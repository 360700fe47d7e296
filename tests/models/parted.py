"""Updates of every family by one process, or by one of several that join in a store; weights are written to a file."""

import sys

import torch
import torch.distributed
from torch import nn

from equibench_models import family
from equibench_models.parts import BatchPart

SHAPE = (1, 8, 8)
CASES = [
    ("gan", {"batch_size": 5, "penalty_share": 0.2}),  # of which only the first process has an image with a penalty
    ("gan", {"batch_size": 7, "penalty_share": 0.7, "optimizer": "muon"}),
    ("gan", {"batch_size": 5, "penalty_share": 0.2, "one_stage": False}),
    ("gan", {"batch_size": 4, "penalty_share": 1.0}),
    ("vae", {"batch_size": 5}),
    ("flow", {"batch_size": 5}),
    ("diffusion", {"batch_size": 21}),
    ("gan", {"batch_size": 5, "penalty_share": 0.2, "classes": 3}),
    ("gan", {"batch_size": 5, "penalty_share": 0.2, "one_stage": False, "classes": 3}),
    ("vae", {"batch_size": 5, "classes": 3}),
    ("flow", {"batch_size": 5, "classes": 3}),
    ("diffusion", {"batch_size": 21, "classes": 3}),
]
UPDATES = 3


def trained(name, config, part):
    """Weights and losses after some updates, with sixteen digits, so that only what is wrong differs."""
    torch.manual_seed(1)
    model = family(name).build({"width": 16, **config}, SHAPE).double()
    model.part = part
    for parameter in model.parameters():  # what starts at zero would hide what comes before it
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.1)
    generator = torch.Generator().manual_seed(2)
    found = {}
    for i in range(UPDATES):
        images = torch.randint(256, (config["batch_size"], *SHAPE), generator=generator, dtype=torch.uint8)
        labels = [torch.arange(len(images)) % model.classes] if model.classes else []
        losses = model.update(images, 0.1 + i / 10, *labels)
        part.add_up(list(losses.values()))
        found |= {f"{loss} {i}": value.detach() for loss, value in losses.items()}
    return {**found, **{key: value for key, value in model.state_dict().items() if value.is_floating_point()}}


def add_up(tensors):
    with torch.no_grad():
        for one in tensors:
            torch.distributed.all_reduce(one)


def main(rank, ranks, folder):
    torch.set_num_threads(1)
    torch.Tensor.float = torch.Tensor.double
    torch.set_default_dtype(torch.float64)
    part = BatchPart()
    if ranks > 1:
        torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
        part = BatchPart(rank, ranks, add_up)
    torch.save([trained(name, config, part) for name, config in CASES], f"{folder}/{rank}of{ranks}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
