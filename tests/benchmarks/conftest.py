"""Stored runs say what machine they are of: `python -m studies.speed_check` compares only what can be compared."""

import torch

from equibench.machine.provenance import describe_machine


def pytest_benchmark_update_machine_info(config, machine_info):  # noqa: ARG001
    found = describe_machine(torch.device("cpu"))
    machine_info["equibench"] = {
        "key": found.key,
        "device": found.device,
        "processor": found.processor,
        "system": found.system,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
    }
