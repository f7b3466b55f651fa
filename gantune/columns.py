"""Every column of gantune's tables: its name, its type and what it means.

Kinds: ``int``, ``float``, ``text``, ``category`` (text of few values), ``floats`` (a list).
Every column may be null; a metric that does not apply to a trial is null.
"""

from typing import Literal, NamedTuple

Kind = Literal["int", "float", "text", "category", "floats"]

VerdictName = Literal[
    "diverged",
    "mode_collapse",
    "discriminator_dominates",
    "generator_dominates",
    "memorizing",
    "mode_dropping",
    "oscillating",
    "undertrained",
    "healthy",
]
"""What a trial can be found to be, the most severe first."""


class Column(NamedTuple):
    """One column: what readers see, in tables, in pandas and in the documentation."""

    name: str
    kind: Kind
    meaning: str


_IDENTITY = (
    Column("trial_id", "text", "run name and trial number"),
    Column("number", "int", "trial number, from 0; the same as Optuna's"),
)

EPOCHS: tuple[Column, ...] = (
    *_IDENTITY,
    Column("seq", "int", "order in which the records of the run arrived, from 0"),
    Column("epoch", "int", "counted from 1"),
    Column("step", "int", "rounds so far: d_steps D updates and g_steps G updates each"),
    Column("images_seen", "int", "real samples shown to D so far"),
    Column("wall_s", "float", "seconds since the trial began, without time it was not running"),
    Column("train_s", "float", "seconds of training in this epoch"),
    Column("eval_s", "float", "seconds of evaluation in this epoch"),
    Column("images_per_s", "float", "real samples shown to D per second of training"),
    Column("peak_memory_mb", "float", "peak of the worker's memory (of the GPU's, on a GPU)"),
    Column("g_loss", "float", "generator loss without content, mean over the epoch's updates"),
    Column(
        "d_loss", "float", "discriminator loss without penalty; (real + fake) / 2 for probabilities"
    ),
    Column("d_loss_real", "float", "its part on real samples; null where it has no parts"),
    Column("d_loss_fake", "float", "its part on generated samples"),
    Column("penalty", "float", "the weighted penalty that was added to d_loss"),
    Column("content_loss", "float", "the weighted pixel loss that was added to g_loss"),
    Column("g_loss_std", "float", "standard deviation of g_loss within the epoch"),
    Column("d_loss_std", "float", "standard deviation of d_loss within the epoch"),
    Column("d_acc", "float", "share that D classifies right, mean of both parts; 0.5: equilibrium"),
    Column("d_acc_real", "float", "share of real samples that D takes for real"),
    Column("d_acc_fake", "float", "share of generated samples that D takes for generated"),
    Column("d_auc", "float", "P(D(x) > D(G(z))) over pairs within a batch, ties 1/2"),
    Column("d_x", "float", "mean of D's probability for real samples"),
    Column("d_gz", "float", "mean of D's probability for generated samples"),
    Column("d_acc_holdout", "float", "share of held-out real samples that D takes for real"),
    Column("d_overfit", "float", "share of D's lead on training samples that held-out ones lack"),
    Column("d_slope_real", "float", "mean norm of D's gradient at real samples, eval mode"),
    Column("d_slope_fake", "float", "mean norm of D's gradient at generated samples"),
    Column("g_grad_norm", "float", "norm of the generator's gradient, mean over updates"),
    Column("d_grad_norm", "float", "norm of the discriminator's gradient, mean over updates"),
    Column("g_lr", "float", "the generator's learning rate"),
    Column("d_lr", "float", "the discriminator's learning rate"),
    Column("frechet_distance", "float", "Fréchet distance of features to the training data's"),
    Column("kernel_distance", "float", "unbiased polynomial MMD of features"),
    Column("classifier_score", "float", "exp E KL(p(y|x) || p(y)); at most the number of classes"),
    Column("precision", "float", "share of generated samples within the data's manifold"),
    Column("recall", "float", "share of the data within the generated samples' manifold"),
    Column("density", "float", "how densely the data surrounds generated samples"),
    Column("coverage", "float", "share of the data with a generated sample nearby"),
    Column("vendi", "float", "effective number of distinct samples"),
    Column("pair_distance_ratio", "float", "mean distance between generated over real samples"),
    Column("modes", "int", "modes or classes with at least one (high-quality) sample"),
    Column("mode_kl", "float", "KL(generated modes || the data's), in nats"),
    Column("mode_jsd", "float", "Jensen-Shannon divergence of the two, in nats; at most ln 2"),
    Column("mode_entropy", "float", "entropy of the modes over its maximum, 0 to 1"),
    Column("mode_histogram", "floats", "share of samples in each mode or class"),
    Column("high_quality", "float", "share of samples within 3 std of a mode (mixtures)"),
    Column("nearest_neighbor_ratio", "float", "distance to training over held-out data"),
    Column("extra_metrics", "text", "metrics of extensions, JSON; also as columns of their names"),
    Column("objective", "float", "the study's metric at this epoch; null where not evaluated"),
    Column(
        "best_objective",
        "float",
        "its best value so far in this trial, of epochs that meet the constraints if any does",
    ),
    Column("rung", "int", "index of the scheduler's rung at this epoch; null elsewhere"),
    Column("verdict", "category", "what is wrong so far, in a word; healthy: nothing found"),
    Column("evidence", "text", "since when, and the numbers that say so"),
)

TRIALS: tuple[Column, ...] = (
    *_IDENTITY,
    Column(
        "status",
        "category",
        "running, waiting (at a rung), completed, stopped, diverged, failed or interrupted",
    ),
    Column("stopped_by", "category", "who ended it early: asha, verdict or user"),
    Column("epochs", "int", "epochs recorded"),
    Column("verdict", "category", "the verdict on the whole trial"),
    Column("verdict_epoch", "int", "the epoch in which it began"),
    Column("confirms", "int", "the trial whose configuration it repeats; null in the search"),
    Column("objective", "float", "the best value of the study's metric"),
    Column("best_epoch", "int", "the epoch of that value"),
    Column("second_objective", "float", "the second objective at that epoch; null without one"),
    Column("feasible", "category", "whether that epoch meets the constraints: yes or no"),
    Column("last_objective", "float", "its last value"),
    Column("seed", "int", "the trial's own seed"),
    Column("worker", "text", "host and process that trained it last"),
    Column("started_at", "text", "UTC, ISO 8601"),
    Column("wall_s", "float", "seconds it was running"),
    Column("parameters", "text", "searched paths and their values, JSON"),
    Column("error", "text", "the last line of its traceback, if it failed"),
)

STEPS: tuple[Column, ...] = (
    *_IDENTITY,
    Column("epoch", "int", "counted from 1"),
    Column("step", "int", "rounds so far"),
    Column("g_loss", "float", "generator loss of this round's last update"),
    Column("d_loss", "float", "discriminator loss of this round's last update"),
    Column("d_acc", "float", "discriminator accuracy of this round's last update"),
)

TIMES = frozenset(
    {"wall_s", "train_s", "eval_s", "images_per_s", "peak_memory_mb", "worker", "started_at"}
)
"""Columns that differ between two runs of the same study."""
