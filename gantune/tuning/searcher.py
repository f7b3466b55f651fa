"""Ray Tune's searcher: asks the conductor for trials and tells it how they ended."""

from typing import Any

from ray.tune.search import Searcher

from gantune.tuning.conductor import Conductor


class StudySearcher(Searcher):
    """Proposes the conductor's trials. Ray's trial ids are known here and nowhere else."""

    def __init__(self, conductor: Conductor, concurrency: int) -> None:
        """Makes a searcher that has proposed nothing.

        Args:
            conductor: Whose trials they are.
            concurrency: So many at once, until another terminal asks for others.
        """
        super().__init__()
        self._conductor, self._concurrency = conductor, concurrency
        self._numbers: dict[str, int] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        limit = self._conductor.requests.concurrency or self._concurrency
        if len(self._numbers) >= limit:
            return None  # Tune asks again when something has happened
        spec = self._conductor.ask()
        if spec is None:
            return None if self._conductor.awaits else str(Searcher.FINISHED)
        self._numbers[trial_id] = spec.number
        # As one text: Tune copies a configuration into each result and flattens it.
        return {"number": spec.number, "spec": spec.model_dump_json()}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        number = self._numbers.get(trial_id)
        if number is None:
            return
        self._conductor.finish(number, failed=error)
        # Last: where an error is raised before this, Tune calls a second time.
        del self._numbers[trial_id]

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a study is resumed from the run directory, not from Tune's snapshots."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing; see :meth:`save`."""
