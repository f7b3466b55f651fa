"""Where each verdict begins, and why there. Measured in reports/verdicts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Thresholds:
    """Thresholds on smoothed signals, each with its reason.

    Attributes:
        first_epoch: Nothing is said before this epoch, divergence apart: every generator begins
            with samples that are all alike, and fewer values than a window are no median.
        collapse_exponent: Collapsed where exp(-KL) is at most K to the power of minus this: K modes
            are served as by K^(2/3) of them (4.6 of 10, 8.5 of 25, 100 of 1,000). Collapsed runs
            wander: a smoothed value is above that of the worst epoch.
        collapse_reach: Who reaches this much of the data is not collapsed, however uneven: samples
            of K^(2/3) of K modes cover at most 0.5 (K = 8), 0.46 (10), 0.34 (25).
        collapse_spread: Without modes: samples are at most this share as far apart as the data, in
            the mean. Collapsed runs had 0.5 to 0.85, a poor one that was not collapsed 0.97, good
            ones 0.9 to 1.05. Samples of one class of digits are 0.7 to 1 as far apart as all: a
            collapse that keeps the variety of a class is none to this eye.
        collapse_vendi: Without modes and pairs: effective number of distinct samples; 1 is the
            least there can be.
        collapse_coverage: And without modes the samples are near to this little of the data, for
            data can be alike, too.
        dropping_share: No recent epoch served the modes better than this exp(-KL): as if a quarter
            of them had no samples. Runs that reach all modes were above 0.8.
        dropping_lacking: And none of them served this share of the modes: what one of them did
            serve is not lost, and modes that all have some samples are uneven, not dropped.
        dropping_recall: Without modes: plausible samples (dropping_precision) that reach this
            little of the data. Samples that are alike reach no more, either.
        dropping_precision: See dropping_recall.
        dominates: D is right this often, or ranks so many pairs right. Equilibrium is 0.5;
            tutorials call 0.7 to 0.8 healthy and 0.95 to 0.99 the alarm.
        still: A generator that a winning D does not let move: its Fréchet distance changes by this
            much at most. In collapsed runs it moved by 0.05 to 0.5 in most epochs, in runs with a
            planted dominance by less than 0.01.
        fooled: D is right at most this often: no better than chance, with a margin for noise.
        poor_coverage: A player wins only where samples are bad, too: an even game with samples
            near the data is the equilibrium. Samples of the data itself cover 0.97 of it.
        poor_precision: And this few samples are near the data: a generator that makes plausible
            samples is not stuck, whatever D says of them.
        copying: Samples are this much nearer to training than to held-out data, 1 without copies.
        overfit: And D has learned the training set: so much of its lead is missing on held-out
            samples. 0: none; 1: it takes them for generated ones.
        turnover: So many samples change their mode from an epoch to the next, beyond what counting
            them makes (0.06 for 1,000 samples of ten modes). Healthy runs had up to 0.4.
        wandering: And so many modes came and went. Of 25 modes of healthy grids up to 11 did, which
            is why no recent epoch may have served them all, either (dropping_share).
        variation: Without modes: the spread of D's loss over its size, with turns.
        turns: Share of epochs at which D's loss turned; noise around a level turns in two thirds.
        rising: Undertrained where the Fréchet distance fell by so much in the last third.
        undertrained_coverage: And the samples are near to this little of the data.
    """

    first_epoch: int = 3
    collapse_exponent: float = 1 / 3
    collapse_reach: float = 0.5
    collapse_spread: float = 0.9
    collapse_vendi: float = 1.2
    collapse_coverage: float = 0.1
    dropping_share: float = 0.75
    dropping_lacking: float = 0.1
    dropping_recall: float = 0.1
    dropping_precision: float = 0.5
    dominates: float = 0.95
    still: float = 0.03
    fooled: float = 0.55
    poor_coverage: float = 0.1
    poor_precision: float = 0.1
    copying: float = 0.85
    overfit: float = 0.5
    turnover: float = 0.4
    wandering: float = 0.25
    variation: float = 0.3
    turns: float = 0.5
    rising: float = 0.25
    undertrained_coverage: float = 0.1


THRESHOLDS = Thresholds()
