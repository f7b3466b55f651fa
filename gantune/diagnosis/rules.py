"""When each verdict holds: smoothed signals of one epoch -> the numbers that say so, or None."""

from collections.abc import Callable

from gantune.columns import VerdictName
from gantune.diagnosis.context import Context
from gantune.diagnosis.signals import Signals
from gantune.diagnosis.thresholds import THRESHOLDS as T

Rule = Callable[[Signals, Context], str | None]


def mode_collapse(s: Signals, c: Context) -> str | None:
    """Most samples are of few modes; without modes, alike and near to little of the data."""
    if _is_beaten(s) and _is_stuck(s):
        # A generator that never left its place has no modes to lose; its noise falls into some.
        return None
    if s.mode_share is not None and c.modes:
        border = c.modes**-T.collapse_exponent
        if s.mode_share > border or (s["coverage"] or 0.0) > T.collapse_reach:
            return None
        served = f"modes are served as by {s.mode_share * c.modes:.1f} of {c.modes}"
        return _join(_top(s, c), f"{served} (at most {border * c.modes:.1f})", *_quality(s))
    return _alike(s)


def _alike(s: Signals) -> str | None:
    """A collapse where no mode is known."""
    coverage, recall = s["coverage"], s["recall"]
    spread, vendi = s["pair_distance_ratio"], s["vendi"]
    if coverage is not None and coverage > T.collapse_coverage:
        return None
    if spread is not None:
        if spread > T.collapse_spread or (recall is not None and recall > T.dropping_recall):
            return None
        text = f"samples are {spread:.2g} as far apart as the data (at most {T.collapse_spread})"
        return _join(text, *_quality(s))
    if vendi is None or coverage is None or vendi > T.collapse_vendi:
        return None
    return _join(
        f"{vendi:.2f} effectively distinct samples (at most {T.collapse_vendi})", *_quality(s)
    )


def discriminator_dominates(s: Signals, c: Context) -> str | None:
    """D tells real from generated samples at sight, and the samples are far from the data."""
    if not _is_beaten(s) or not (_is_poor(s) or _is_stuck(s)):
        return None
    text = f"{s.d_score_name} {s.d_score:.2f} (at least {T.dominates})"
    return _join(text, *_quality(s, score=False), *_gradient(s))


def generator_dominates(s: Signals, c: Context) -> str | None:
    """D is no better than chance although the samples are far from the data."""
    if s.d_score is None or s.d_score > T.fooled or not _is_poor(s):
        return None
    text = f"{s.d_score_name} {s.d_score:.2f} (at most {T.fooled}) although samples are poor"
    return _join(text, *_quality(s, score=False))


def memorizing(s: Signals, c: Context) -> str | None:
    """Samples are nearer to training than to held-out data, and D has learned the former."""
    ratio, overfit = s["nearest_neighbor_ratio"], s["d_overfit"]
    if ratio is None or ratio > T.copying or (overfit is not None and overfit < T.overfit):
        return None
    text = f"samples are {ratio:.2f} as far from training as from held-out data"
    text = f"{text} (at most {T.copying})"
    lead = f"{overfit:.0%} of D's lead is missing on held-out samples" if overfit else None
    return _join(text, lead, f"{c.training_size:,} training samples")


def mode_dropping(s: Signals, c: Context) -> str | None:
    """No recent epoch serves some of the modes; without modes, plausible samples, all alike."""
    if s.best_share is not None and c.modes:
        least = T.dropping_lacking * c.modes
        if s.best_share > T.dropping_share or s.lacking is None or s.lacking < least:
            return None
        lack = f"{s.lacking} of {c.modes} modes have less than a tenth of a fair share"
        return _join(f"{lack} (at least {least:.1f})", _served(s.best_share, c), *_quality(s))
    precision, recall = s["precision"], s["recall"]
    if precision is None or recall is None or s["coverage"] is None:
        return None
    if s["coverage"] > 2 * T.collapse_coverage:
        return None
    if precision < T.dropping_precision or recall > T.dropping_recall:
        return None
    text = f"recall {recall:.2f} (at most {T.dropping_recall}) at precision {precision:.2f}"
    return _join(text, *_quality(s))


def oscillating(s: Signals, c: Context) -> str | None:
    """Modes come and go, and no epoch serves them all; without modes, D's loss swings."""
    if s.turnover is not None and s.wandering is not None and s.best_share is not None and c.modes:
        least = T.wandering * c.modes
        if s.turnover < T.turnover or s.wandering < least or s.best_share > T.dropping_share:
            return None
        changed = f"{s.turnover:.0%} of the samples change their mode from an epoch to the next"
        return _join(
            f"{s.wandering} of {c.modes} modes came and went (at least {least:.1f})",
            f"{changed} (at least {T.turnover:.0%})",
            _served(s.best_share, c),
        )
    if s.loss_variation is None or s.turns is None or s.mode_share is not None:
        return None
    if s.loss_variation < T.variation or s.turns < T.turns:
        return None
    return (
        f"the discriminator's loss varies by {s.loss_variation:.0%} of its size "
        f"(at least {T.variation:.0%}) and turned at {s.turns:.0%} of the epochs"
    )


def undertrained(s: Signals, c: Context) -> str | None:
    """At its planned end the trial was still getting better, and not good."""
    if s.rise is None or s.rise < T.rising:
        return None
    if s["coverage"] is not None and s["coverage"] > T.undertrained_coverage:
        return None
    text = f"the Fréchet distance fell by {s.rise:.0%} in the last third (at least {T.rising:.0%})"
    return _join(text, *_quality(s))


RULES: dict[VerdictName, Rule] = {
    "mode_collapse": mode_collapse,
    "discriminator_dominates": discriminator_dominates,
    "generator_dominates": generator_dominates,
    "memorizing": memorizing,
    "mode_dropping": mode_dropping,
    "oscillating": oscillating,
    "undertrained": undertrained,
}
"""The most severe first; ``diverged`` is what the engine says, ``healthy`` is none of them."""


def healthy(s: Signals, c: Context) -> str:
    """What is there to see where nothing is wrong."""
    there = None if s.lacking is None or c.modes is None else c.modes - s.lacking
    modes = f"{there} of {c.modes} modes" if there is not None else None
    return _join(modes, *_quality(s)) or "no metric says otherwise"


def _is_beaten(s: Signals) -> bool:
    """Whether D tells everything, and the samples reach little of the data."""
    coverage = s["coverage"]
    is_told = s.d_score is not None and s.d_score >= T.dominates
    return is_told and (coverage is None or coverage <= T.poor_coverage)


def _is_stuck(s: Signals) -> bool:
    """Whether the generator stands still; where no distance says, whether its samples are bad."""
    return _is_poor(s) if s.movement is None else s.movement <= T.still


def _is_poor(s: Signals) -> bool:
    """Whether the samples are far from the data; where no metric knows, D's word counts."""
    coverage, precision = s["coverage"], s["precision"]
    near = s["high_quality"] if precision is None else precision
    if near is not None and near > T.poor_precision:
        return False
    return coverage is None or coverage <= T.poor_coverage


def _top(s: Signals, c: Context) -> str | None:
    if s.top is None:
        return None
    count, share = s.top
    holds = "holds" if count == 1 else "hold"
    entropy = s["mode_entropy"]
    shown = f" (entropy {entropy:.2f} of 1)" if entropy is not None else ""
    return f"{count} of {c.modes} modes {holds} {share:.0%} of samples{shown}"


def _served(best_share: float, c: Context) -> str:
    assert c.modes is not None
    at_best = f"at best modes are served as by {best_share * c.modes:.1f} of {c.modes}"
    return f"{at_best} (at most {T.dropping_share * c.modes:.1f})"


def _quality(s: Signals, *, score: bool = True) -> list[str | None]:
    parts: list[str | None] = [
        f"{name} {s[name]:.2f}" for name in ("coverage", "precision") if s[name] is not None
    ]
    if score and s.d_score is not None:
        parts.append(f"{s.d_score_name} {s.d_score:.2f}")
    return parts


def _gradient(s: Signals) -> list[str | None]:
    norm = s["g_grad_norm"]
    return [f"generator's gradient {norm:.2g}" if norm is not None else None]


def _join(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)
