"""Where an epoch's real batches come from: memory, or files that others decode ahead of it."""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from gantune.engine.data import to_images
from gantune.errors import DataError
from gantune.sources.folder import ImageFiles


class Batches(Protocol):
    """Real samples by their rows."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows (..., B) -> float samples (..., B, *sample), on the device."""
        ...

    def begin(self, rows: Tensor) -> None:
        """Announces an epoch: (batches, ..., B) rows in the order in which they are asked for."""
        ...


class InMemory:
    """Samples that are all on the device."""

    def __init__(self, data: Tensor) -> None:
        """Makes batches of (n, *sample) data: bytes, or floats."""
        self._data = data

    def begin(self, rows: Tensor) -> None:
        """Needs no announcement."""

    def __call__(self, rows: Tensor) -> Tensor:
        """Rows (..., B) -> float samples (..., B, *sample)."""
        return to_images(self._data[rows])


class _Decoded:
    """What a loader's process asks for images: whole batches at a time.

    An error is handed over as a value: the loader would raise it as another one.
    """

    def __init__(self, files: ImageFiles) -> None:
        self._files = files

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> Tensor | DataError:
        return self.__getitems__([row])

    def __getitems__(self, rows: list[int]) -> Tensor | DataError:
        try:
            return torch.from_numpy(self._files[np.array(rows)])
        except DataError as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


class Streamed:
    """Samples that stay in files: decoded by processes, in the order of the epoch's table."""

    def __init__(self, files: ImageFiles, device: torch.device, workers: int) -> None:
        """Makes batches.

        Args:
            files: The images.
            device: Where batches go.
            workers: Processes that decode, at least 1; they start at the first :meth:`begin`.
        """
        self._device = device
        self._sample = files.shape[1:]
        # Filled in place, so that the same processes serve every epoch.
        self._order: list[list[int]] = []
        self._expected: Iterator[Tensor] = iter(())
        self._arriving: Iterator[Tensor | DataError] = iter(())
        self._loader: DataLoader[Tensor | DataError] = DataLoader(
            _Decoded(files),  # type: ignore[arg-type]
            batch_sampler=self._order,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            persistent_workers=True,
            generator=torch.Generator(),  # else the global one is drawn from
        )

    def begin(self, rows: Tensor) -> None:
        """Begins an epoch: batches are decoded ahead from here on.

        Args:
            rows: (batches, ..., B) the rows of every batch that will be asked for, in order.
        """
        self._order[:] = rows.flatten(1).tolist()
        self._expected = iter(rows)
        self._arriving = iter(self._loader)

    def __call__(self, rows: Tensor) -> Tensor:
        """The next batch of the table: rows (..., B) -> float samples (..., B, *sample).

        Batches of updates that a rule of balance left out are passed over.

        Raises:
            DataError: An image cannot be read.
        """
        for expected in self._expected:
            batch = next(self._arriving)
            if _are_same(rows, expected):
                break
        else:
            raise AssertionError("no batch of the table that is left")
        if isinstance(batch, DataError):
            raise batch
        shaped = batch.view(*rows.shape, *self._sample)
        return to_images(shaped.to(self._device, non_blocking=True))


def _are_same(rows: Tensor, expected: Tensor) -> bool:
    if rows.shape == expected.shape and rows.stride() == expected.stride():
        # A view of the table itself: no need to wait for the device to compare.
        if rows.data_ptr() == expected.data_ptr():
            return True
    return torch.equal(rows, expected)
