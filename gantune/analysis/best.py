"""A trial at its best epoch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gantune.analysis.notebook import trial_to_html
from gantune.checkpoints import Checkpoint
from gantune.config import TrialConfig
from gantune.errors import CheckpointError
from gantune.extensions import Extension, activate_kept
from gantune.parts.foreign import UNLOADED, Unloaded

if TYPE_CHECKING:
    from gantune.generator import Generator


@dataclass(frozen=True)
class BestTrial:
    """A trial at its best epoch, with its checkpoint; from :meth:`Run.best` or :meth:`Run.trial`.

    Attributes:
        number: Its number.
        objective: Its best value of the study's metric.
        epoch: The epoch of that value.
        parameters: Searched paths and their values.
        config: Its whole configuration.
        record: Its row of the ``epochs`` table at that epoch.
        sample_shape: Of what it generates: (C, H, W), or (2,); None of checkpoints before 0.2.
        checkpoint: The safetensors file with its generator at that epoch.
        study_file: Of its run.
        extensions: Of its run's study.
        store: The URI of its run, where that is in a store.
    """

    number: int
    objective: float
    epoch: int
    parameters: dict[str, Any]
    config: TrialConfig
    record: dict[str, Any] = field(repr=False)
    sample_shape: tuple[int, ...] | None
    checkpoint: Path
    study_file: Path = field(repr=False)
    extensions: tuple[Extension, ...] = field(default=(), repr=False)
    store: str | None = field(default=None, repr=False)

    def generator(self, *, trust: bool = False) -> "Generator":
        """Its generator as a ``torch.nn.Module`` in eval mode, on the CPU.

        Runs the extensions of the run's study, if the generator is one of theirs.

        Args:
            trust: Whether to do so where the run is another user's, or in a store.

        Raises:
            UsageError: It is another user's or in a store, or an extension fails.
            CheckpointError: The checkpoint is damaged, or does not know its sample shape.
        """
        if isinstance(self.config.generator, Unloaded):
            activate_kept(self.extensions, self.study_file, self.store, trust=trust)
        return self.stored_generator()

    def stored_generator(self) -> "Generator":
        """The same, but runs nothing: refuses a generator of an extension that is not loaded.

        Raises:
            UsageError: It is one.
            CheckpointError: The checkpoint is damaged, or does not know its sample shape.
        """
        from gantune.generator import read_generator  # takes torch

        if self.sample_shape is None:
            message = f"{self.checkpoint} is of an older gantune and does not know its sample shape"
            raise CheckpointError(message)
        # As opened, an extension's parts are only as written: perhaps it is loaded by now.
        config = TrialConfig.model_validate(self.config.model_dump(), context=UNLOADED)
        return read_generator(self.checkpoint, config, self.sample_shape)

    def _repr_html_(self) -> str:
        return trial_to_html(self)


def best_of(
    checkpoint: Checkpoint,
    number: int,
    parameters: dict[str, Any],
    study_file: Path,
    extensions: tuple[Extension, ...],
    store: str | None,
) -> BestTrial:
    """A trial as the description beside its checkpoint says.

    Args:
        checkpoint: Of its best epoch.
        number: Its number.
        parameters: Searched paths and their values.
        study_file: Of its run.
        extensions: Of its run's study.
        store: The URI of its run, where that is in a store.

    Raises:
        CheckpointError: The description is damaged.
    """
    meta = checkpoint.meta
    try:
        shape = meta.get("sample_shape")
        return BestTrial(
            number=number,
            # Of a trial that is not over the checkpoint can be ahead of the tables.
            objective=float(meta["record"]["objective"]),
            epoch=int(meta["epoch"]),
            parameters=parameters,
            config=TrialConfig.model_validate(meta["config"], context=UNLOADED),
            record=dict(meta["record"]),
            sample_shape=None if shape is None else tuple(int(side) for side in shape),
            checkpoint=checkpoint.path,
            study_file=study_file,
            extensions=extensions,
            store=store,
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        message = f"the description beside {checkpoint.path} is damaged: {error}"
        raise CheckpointError(message) from None
