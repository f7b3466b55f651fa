"""The report on stopping by verdict: what the tables come to, and how they were made."""

from collections import Counter
from collections.abc import Sequence

from stop_figures import ratio_interval
from stop_report import (
    RULES,
    RUNGS,
    Run,
    ends_table,
    replayed_pairs,
    replayed_table,
    saved,
    trained_pairs,
    trained_table,
)
from stop_studies import EPOCHS, SEEDS, TRIALS

TEXT = """# Stopping by verdict

Does `stop: {{verdicts: [diverged, mode_collapse, discriminator_dominates], patience: 3}}` pay on
top of ASHA? {answer}

- **As trained** ({pairs} pairs: {seeds}):
  it saved {saved} of the epochs. The best objective found was {ratio} times
  that without the stop (geometric mean and 95% interval, bootstrap over the pairs; above 1 is
  worse; "no worse" is an upper end of at most {no_worse}): better in {better}, the same in {same}
  and worse in {worse} pairs.
- **On the same trials** (those of ASHA alone, cut where the stop would have ended them): {cut} of
  {all} would have been cut short. **{recovered} of these had none of the three verdicts at their
  last epoch**, {healthy} were healthy there: with epochs of 60 to 80 rounds a young generator can
  look collapsed for longer than three epochs, and recover. Among the cut was the later best trial
  in {lost} of {runs} runs.
- The first 10 trials of a pair are the same; then the sampler has heard other values of those that
  the stop ended, and proposes other trials. Better or worse, where no best trial was cut, comes
  from there; so few pairs cannot tell what of it is chance.
- **More patience** saves less: {patience_5} with 5 epochs, {patience_7} with 7 (same trials).

## How it was measured

`python benchmarks/stop_by_verdict.py`; {machine}.
The conductor and the host of `gantune train`, one slot. {trials} trials of at most {epochs} epochs,
TPE and ASHA as by default (10 random trials first; a rung at epoch 5, one in three goes on).
Sampler and trials have the seeds from 0 on, the same in both runs of a pair. A trial that comes in
both runs with the same configuration and seed is trained once. Every study searches the ranges of
`search_spaces/lr_beta.yaml`: the generator's rate log-uniform in 1e-5 to 1e-2, the discriminator's
0.1 to 10 times that, beta1 of both in 0 to 0.9; and

- `digits_rates`: nothing else. Digits, MLPs, 60 rounds of 64 an epoch; Fréchet distance.
- `ring_losses`: six losses, no penalty. A ring of 8 modes, MLPs, 80 rounds of 64; `mode_kl`.
- `mnist_capacity`: 1 or 2 `d_steps`, a discriminator of (32), (128) or (256, 128), batch norm in
  the generator or none. 5,000 digits of 28x28, MLPs, 60 rounds of 32; Fréchet distance.

Not measured: longer epochs and trainings, other networks, a study that spends the saved epochs on
further trials{no_full}. [epochs.parquet](epochs.parquet) has every epoch
with the metrics that verdicts are made of.

"""

NO_WORSE = 1.05
"""A best objective that is at most so many times that without the stop is no worse."""

PAYS = "**It saves epochs, and the best objective found is no worse.**"
DOES_NOT_PAY = (
    "**That the best objective is no worse does not\nfollow from these runs.** "
    "It stays off by default."
)


def report(runs: Sequence[Run], machine: str) -> str:
    """The text and the tables."""
    parts = [
        _text(runs, machine),
        "## Trained apart: ASHA alone, and with the stop\n\n",
        _table(trained_table(runs)),
        "## The same trials: those of ASHA alone, cut where the stop would have ended them\n\n",
        "Trials it ended: of them those that ASHA alone let go on (short), and of these those\n"
        "whose last epoch has none of the verdicts (recovered).\n\n",
        _table(replayed_table(runs, "asha")),
    ]
    if any(run.arm == "full" for run in runs):
        parts += ["## The same trials: random draws, no scheduler\n\n"]
        parts += [_table(replayed_table(runs, "full"))]
        parts += ["## The same trials: random draws, under ASHA\n\n"]
        parts += [_table(replayed_table(runs, "full", RUNGS))]
    parts += ["## Where trials of ASHA alone stood\n\n", _table(ends_table(runs, "asha"))]
    return "".join(parts).rstrip() + "\n"


def _text(runs: Sequence[Run], machine: str) -> str:
    pairs = trained_pairs(runs)
    again = {label: replayed_pairs(runs, "asha", stop) for label, stop in RULES.items()}
    same = again["as studied"]
    counts = Counter(pair.study for pair in pairs)
    ratios = [pair.ratio for pair in pairs]
    interval = ratio_interval(ratios)
    has_full = any(run.arm == "full" for run in runs)
    return TEXT.format(
        answer=PAYS if interval.high <= NO_WORSE else DOES_NOT_PAY,
        pairs=len(pairs),
        seeds=", ".join(f"{count} of {SEEDS} seeds of {name}" for name, count in counts.items()),
        saved=f"{saved(pairs):.0%}",
        ratio=f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]",
        better=sum(ratio < 1 for ratio in ratios),
        same=sum(ratio == 1 for ratio in ratios),
        worse=sum(ratio > 1 for ratio in ratios),
        no_worse=NO_WORSE,
        all=TRIALS * len(same),
        cut=sum(pair.cut or 0 for pair in same),
        recovered=sum(pair.recovered or 0 for pair in same),
        healthy=sum(pair.healthy or 0 for pair in same),
        lost=sum(pair.ratio > 1 for pair in same),
        runs=len(same),
        patience_5=f"{saved(again['patience 5']):.0%}",
        patience_7=f"{saved(again['patience 7']):.0%}",
        machine=machine,
        trials=TRIALS,
        epochs=EPOCHS,
        no_full="" if has_full else ", runs without a scheduler",
    )


def _table(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n\n"
