"""What a study has still to do, from its journal and its tables. No ray."""

import optuna

from gantune.space import Space
from gantune.study import Study
from gantune.tuning import journal
from gantune.tuning.clock import Clock
from gantune.tuning.confirm import Repeat, due, repeat_of
from gantune.tuning.judge import Judge
from gantune.tuning.ledger import Ledger


class Agenda:
    """What may still be proposed.

    Attributes:
        waiting: Unfinished trials to be taken up again, but for those that wait at a rung.
    """

    def __init__(
        self,
        study: Study,
        space: Space,
        optuna_study: optuna.Study,
        ledger: Ledger,
        judge: Judge,
        clock: Clock,
    ) -> None:
        """Makes the agenda of a session.

        Args:
            study: Its budget and what it confirms.
            space: Its search space.
            optuna_study: Knows which trials were asked for.
            ledger: Knows which have ended.
            judge: Knows which wait at a rung.
            clock: Knows what time is left.
        """
        self.waiting: list[int] = []
        self._study, self._space, self._optuna = study, space, optuna_study
        self._ledger, self._judge, self._clock = ledger, judge, clock

    @property
    def is_spent(self) -> bool:
        """Whether the search has used its epochs or its time."""
        epochs = self._study.budget.epochs
        is_over = epochs is not None and self._ledger.search_epochs >= epochs
        return is_over or self._clock.is_spent(self._ledger)

    @property
    def new_trials(self) -> int:
        """Trials of the search that have not been asked for, and may be."""
        if self.is_spent:
            return 0
        asked = sum(repeat_of(trial) is None for trial in journal.trials(self._optuna))
        return max(0, self._study.budget.trials - asked)

    @property
    def unfinished(self) -> set[int]:
        """Trials of the search that were asked for and have not ended."""
        searched = {t.number for t in journal.trials(self._optuna) if repeat_of(t) is None}
        return searched - set(self._ledger.ends)

    @property
    def is_search_over(self) -> bool:
        """Whether no trial of the search is left, running or to come."""
        return not self.new_trials and not self.unfinished

    @property
    def is_standing_still(self) -> bool:
        """Whether all that is left of the search waits at a rung."""
        return not self.new_trials and self.unfinished == set(self._judge.waiting)

    @property
    def repeats(self) -> list[Repeat]:
        """What is to confirm the best, when the search is over."""
        if self._study.confirm is None or not self.is_search_over:
            return []
        trials = journal.trials(self._optuna)
        return due(self._study, self._space, self._ledger.searched, trials)

    @property
    def remaining(self) -> int:
        """Trials still to be proposed, unfinished ones and, at most, what confirms included."""
        left = len(self.waiting) + len(self._judge.waiting) + self.new_trials
        if self._study.confirm and not self.is_search_over:
            return left + (self._study.confirm.top + 1) * self._study.confirm.seeds
        return left + len(self.repeats)

    @property
    def follows_what_runs(self) -> bool:
        """Whether trials may be due when what runs has got further, or has ended."""
        follows = self._study.confirm or self._judge.lets_wait
        return bool(follows) and not self.is_search_over
