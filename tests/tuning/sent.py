"""A study to be sent to a cluster: its file, its extension, and what else lies around them."""

from pathlib import Path

STUDY = """
name: sent
extensions: [../parts/half.py]
trial:
  data: {name: ring, points: 200}
  generator: {name: mlp, hidden: [8], latent_dim: 2}
  discriminator: {name: mlp, hidden: [8]}
  train: {epochs: 2, steps_per_epoch: 2, batch_size: 8}
  eval: {samples: 50}
search:
  optimizer.generator.lr: {log_uniform: [1e-5, 1e-2]}
objective: {metric: half, goal: maximize}
scheduler: {name: none}
budget: {trials: 1}
"""

HALF = """
from gantune import extend

@extend.metric("half", goal="maximize")
def half(samples):
    return 0.5
"""


def write_study(folder: Path) -> Path:
    """Writes a study file with an extension beside its folder, and what else lies around."""
    for path, text in {"parts/half.py": HALF, "studies/sent.yaml": STUDY}.items():
        (folder / path).parent.mkdir()
        (folder / path).write_text(text)
    (folder / "studies" / "secret.txt").write_text("not to be sent")
    (folder / "parts" / "data.npz").write_bytes(bytes(1000))
    return folder / "studies" / "sent.yaml"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
