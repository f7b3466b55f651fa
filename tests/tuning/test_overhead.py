"""What the driver of a run takes for each record, on a real Ray, in a process of its own."""

import pytest
from overhead import SCHEDULERS, TRIALS, Cost, Mark, cost, measured

MOST_MS = 10.0
MOST_GROWTH_MB = 200.0
FLAT = 1.5
"""The last fifth may cost so many times the first: two busy cores are no quiet machine."""


def test_a_cost_is_of_the_records_between_two_moments() -> None:
    begin = Mark(cpu_s=5.0, propose_s=0.5, own_s=0.25, records=100, memory_mb=80.0)
    end = Mark(cpu_s=6.0, propose_s=0.75, own_s=0.75, records=300, memory_mb=90.0)
    assert cost(begin, end) == Cost(200, cpu_ms=5.0, propose_ms=1.25, own_ms=2.5, memory_mb=90.0)


@pytest.mark.long
@pytest.mark.alone
def test_a_record_costs_the_driver_little() -> None:
    run = measured("none", trials=60)
    assert run.whole.records == 59 * 20
    assert run.whole.cpu_ms <= MOST_MS
    assert run.growth_mb <= MOST_GROWTH_MB


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_last_trials_of_a_long_study_are_as_cheap_as_its_first(scheduler: str) -> None:
    run = measured(scheduler, TRIALS)
    first, last = (run.blocks[n].cpu_ms - run.blocks[n].propose_ms for n in (0, -1))
    assert last <= FLAT * first  # but for proposing: TPE weighs every trial that has ended
    assert run.whole.cpu_ms <= MOST_MS
    assert run.growth_mb <= MOST_GROWTH_MB
