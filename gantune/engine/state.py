"""The state of a trial: an explicit tree of tensors, and what acts on such trees.

Checkpoint, resume, stacking of trials and slicing act on the tree and need to know nothing of what
it holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


class Player(NamedTuple):
    """One of the two networks and its optimizer.

    Dictionaries are sorted by name, so that a state that was saved and loaded sums its gradients'
    norms in the same order as one that was not.

    Attributes:
        params: Parameters by name, with a leading axis for stacked trials.
        buffers: Running statistics by name.
        moments: The optimizer's tensors per parameter: ``{"first": {"0.weight": ...}}``.
        counters: Its scalars: steps, running products.
    """

    params: Tensors
    buffers: Tensors
    moments: dict[str, Tensors]
    counters: Tensors


class State(NamedTuple):
    """Everything that training changes.

    Attributes:
        generator: The generator.
        discriminator: The discriminator.
        average: Running average of the generator's parameters; empty where it is not wanted.
        memory: What rules and penalties remember between updates.
    """

    generator: Player
    discriminator: Player
    average: Tensors
    memory: Tensors


def map_state(function: Callable[..., Tensor], *states: State) -> State:
    """Applies a function to the tensors that stand at the same place of each state."""
    mapped = [_map(function, players) for players in zip(*states, strict=True)]
    return State(*mapped)


def _map(function: Callable[..., Tensor], nodes: Sequence[Any]) -> Any:
    first = nodes[0]
    if isinstance(first, Tensor):
        return function(*nodes)
    if isinstance(first, dict):
        return {name: _map(function, [node[name] for node in nodes]) for name in first}
    return type(first)(*(_map(function, parts) for parts in zip(*nodes, strict=True)))


def stack(states: Sequence[State]) -> State:
    """Stacks the states of K trials along a new leading axis."""
    return map_state(lambda *tensors: torch.stack(tensors), *states)


def unstack(state: State) -> list[State]:
    """The states that :func:`stack` put together."""
    count = next(iter(state.generator.params.values())).shape[0]
    return [map_state(lambda tensor, i=i: tensor[i].clone(), state) for i in range(count)]


SEPARATOR = "/"


def flatten(state: State) -> Tensors:
    """Names each tensor by its place: ``generator/moments/first/0.weight`` ..."""
    named: Tensors = {}

    def walk(prefix: str, node: Any) -> None:
        if isinstance(node, Tensor):
            named[prefix] = node
            return
        items = node.items() if isinstance(node, dict) else node._asdict().items()
        for name, child in items:
            walk(f"{prefix}{SEPARATOR}{name}" if prefix else name, child)

    walk("", state)
    return named


def unflatten(named: Mapping[str, Tensor]) -> State:
    """The state that :func:`flatten` named, its dictionaries sorted by name.

    Raises:
        KeyError: A part is missing.
    """
    tree: dict[str, Any] = {}
    for name, tensor in sorted(named.items()):
        *parents, last = name.split(SEPARATOR)
        node = tree
        for word in parents:
            node = node.setdefault(word, {})
        node[last] = tensor

    def player(role: str) -> Player:
        part = tree[role]
        return Player(part["params"], part.get("buffers", {}), part["moments"], part["counters"])

    average, memory = tree.get("average", {}), tree.get("memory", {})
    return State(player("generator"), player("discriminator"), average, memory)


def all_finite(state: State) -> bool:
    """Whether every parameter is a finite number (reads from the device)."""
    players = (state.generator, state.discriminator)
    checks = [torch.isfinite(t).all() for player in players for t in player.params.values()]
    return bool(torch.stack(checks).all())
