"""How verdicts and ends of trials look: a colour and a shape each, and words."""

from typing import NamedTuple

from gantune.report.drawing import Shape


class Look(NamedTuple):
    """Colour and shape; neither alone has to be told from the others."""

    ink: str
    shape: Shape
    meaning: str


VERDICTS: dict[str, Look] = {
    "healthy": Look("blue", "circle", "nothing wrong was found, which is no proof of good samples"),
    "undertrained": Look("sky", "ring", "still getting better fast when it ended"),
    "oscillating": Look("green", "diamond", "modes come and go, and no epoch serves them all"),
    "mode_dropping": Look("orange", "triangle", "some modes have no samples, epoch after epoch"),
    "memorizing": Look("yellow", "square", "samples are copies of training data"),
    "generator_dominates": Look("purple", "diamond", "D is at chance, and samples are bad"),
    "discriminator_dominates": Look("purple", "triangle", "D tells all, and G learns nothing"),
    "mode_collapse": Look("vermilion", "square", "most samples are of few modes"),
    "diverged": Look("black", "cross", "a loss, a parameter or a sample is not finite"),
}
"""Every verdict, the least severe first: the order in which they stand in bars and legends."""

UNKNOWN = Look("grey", "ring", "no epoch was recorded that could be judged")

STATUSES: dict[str, Look] = {
    "completed": Look("blue", "circle", "trained to its full length"),
    "stopped": Look("orange", "triangle", "ended early on purpose"),
    "diverged": Look("black", "cross", "something became NaN or infinite"),
    "failed": Look("vermilion", "square", "an exception, or its worker died"),
    "interrupted": Look("grey", "ring", "the run ended before the trial did"),
    "waiting": Look("sky", "diamond", "waits at its rung for worse ones"),
    "running": Look("green", "diamond", "still training"),
}

WHAT_HELPS = {
    "diverged": "lower learning rates, train.grad_clip, a gradient penalty",
    "mode_collapse": "a weaker generator, discriminator.pack, minibatch_std, penalty r1",
    "discriminator_dominates": "a lower rate of D, loss.instance_noise, spectral norm, r1",
    "generator_dominates": "a larger or faster discriminator, more d_steps",
    "memorizing": "more data, augment, a smaller discriminator",
    "mode_dropping": "as for a collapse; more epochs",
    "oscillating": "lower rates or beta1, r1, train.ema, a decaying schedule",
    "undertrained": "more epochs",
}


def look_of(verdict: object) -> Look:
    """How a verdict looks; null has a look, too."""
    return VERDICTS.get(str(verdict), UNKNOWN)


def look_of_status(status: object) -> Look:
    """How the end of a trial looks."""
    return STATUSES.get(str(status), UNKNOWN)
