"""One trial of a run as a study of its own."""

from collections.abc import Sequence

from gantune.analysis.run import Run
from gantune.config import TrialConfig
from gantune.document import Document
from gantune.extensions import activate_kept
from gantune.loader import study_from_document
from gantune.parts.base import as_written
from gantune.paths import RunPaths
from gantune.study import Study, with_values


def trial_as_study(
    run: Run, number: int, overrides: Sequence[str] = (), *, trust: bool = False
) -> Study:
    """The study whose base trial is a trial of a run: same values, same seed, nothing searched.

    ``gantune.train`` of it gives the trial's records again, to the trial's full length.

    Args:
        run: The run.
        number: The trial.
        overrides: ``PATH=VALUE`` texts, as for :func:`gantune.load_study`.
        trust: Whether extensions of the run are run where it is another user's, or in a store.

    Raises:
        UsageError: There is no such trial, or the run has extensions and is another user's, or in a
            store.
        ConfigError: With the overrides it is not valid.
    """
    run.require_trial(number)
    store = run.remote.uri if run.remote else None
    activate_kept(run.study.extensions, RunPaths(run.root).study, store, trust=trust)
    # As opened, an extension's parts are only as written.
    base = TrialConfig.model_validate(run.study.trial.model_dump())
    config = with_values(base, run.parameters(number))
    seed = int(run.trials.loc[run.trials["number"] == number, "seed"].iloc[0])
    alone = run.study.model_copy(
        update={
            "description": f"Trial {number} of {run.name}.",
            "trial": config,
            "search": {},
            "budget": run.study.budget.model_copy(update={"trials": 1}),
            "trial_seed": seed,
        }
    )
    tree = as_written(alone)
    return study_from_document(Document(f"trial {number} of {run.place}", tree), overrides)
