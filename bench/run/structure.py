"""A model as the parts that it says it has."""

from __future__ import annotations

from equibench.record.anatomy import ModelPart, Structure
from equibench_models.contract import Model


class PartsError(Exception):
    """A model's components are not all of it, or hold something twice."""


def structure_of(model: Model) -> Structure:
    """The parts of a model with their sizes. Raises PartsError unless they hold every trainable parameter once."""
    components = model.components()
    held = [id(one) for part in components for one in part.parameters]
    if sorted(held) != sorted(id(one) for one in model.parameters() if one.requires_grad):
        raise PartsError("the model's components do not hold each of its trainable parameters once")
    names = [part.name for part in components]
    if len(set(names)) < len(names):
        raise PartsError("two of the model's components have the same name")
    return Structure(
        parts=[
            ModelPart(
                name=part.name,
                kind=part.kind,
                params=sum(one.numel() for one in part.parameters),
                repeats=part.repeats,
                input_shapes=[list(shape) for shape in part.inputs],
                output_shapes=[list(shape) for shape in part.outputs],
                follows=list(part.follows),
                trained=bool(part.parameters),
                samples=part.samples,
            )
            for part in components
        ],
        noise_shapes=[list(shape) for shape in model.noise_shapes()],
    )
