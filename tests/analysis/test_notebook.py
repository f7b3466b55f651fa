"""What a notebook shows: right, small, and harmless whatever a run's texts say."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import make_study
from tables import completed, unrung, write_run

import gantune
from gantune.document import write_document
from gantune.storage import write_atomically

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    "\" onmouseover='alert(1)' &lt;b&gt;",
    "\u202eright to left\u2066",
    "x" * 10_000,
]


class Reader(HTMLParser):
    """Notes tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


def read(text: str) -> Reader:
    reader = Reader(text)
    assert reader.tags <= {"table", "caption", "tr", "th", "td", "bdi"}
    assert reader.attributes <= {"style"}
    assert len(text) < 20_000
    return reader


def test_a_run_shows_its_state_and_its_best_trial(tmp_path: Path) -> None:
    run = gantune.train(make_study(search={}), tmp_path / "tiny")
    best = run.best()
    text = read(run._repr_html_()).text
    for part in ("run tiny", "finished", "1 completed", "4 recorded"):
        assert part in text
    assert f"trial 0, frechet_distance {best.objective:.4g}, epoch {best.epoch}" in text
    text = read(best._repr_html_()).text
    assert "trial 0" in text and f"{best.objective:.4g}" in text


def test_of_many_parameters_some_are_shown(tmp_path: Path) -> None:
    paths = ["optimizer.generator.lr", "optimizer.discriminator.lr", "optimizer.generator.beta1"]
    paths += ["optimizer.discriminator.beta1", "generator.latent_dim", "loss.label_smoothing"]
    paths += ["optimizer.generator.beta2", "optimizer.discriminator.beta2", "train.d_steps"]
    paths += ["discriminator.negative_slope", "generator.norm_eps", "train.batch_size", "seed"]
    points = {path: 1 for path in paths}
    row = {"number": 0, "epoch": 1, "objective": 0.5}
    run = write_run(tmp_path / "r", unrung({}), [completed(0, 0.5, points)], [row])
    text = read(run._repr_html_()).text
    assert "train.batch_size" in text and "seed" not in text and "and 1 more" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_shows_as_text(text: str, tmp_path: Path) -> None:
    study = unrung({"generator.activation": {"choice": ["relu", "tanh"]}})
    rows = [completed(0, 0.5, {"generator.activation": text, text: 1}, verdict=text, error=text)]
    epochs = [{"number": 0, "epoch": 1, "objective": 0.5, "verdict": text}]
    run = write_run(tmp_path / "r", study, rows, epochs)
    tree = study.model_dump(mode="json", exclude_none=True)
    write_atomically(
        run.root / "study.yaml", write_document({**tree, "description": text}).encode()
    )
    shown = read(gantune.load(run.root)._repr_html_()).text
    assert text[:100] in shown
    assert "x" * 200 not in shown


def test_a_run_of_a_hostile_name(tmp_path: Path) -> None:
    run = write_run(tmp_path / "<img src=x onerror=alert(1)>", unrung({}), [])
    shown = read(run._repr_html_()).text
    assert "<img src=x onerror=alert(1)>" in shown
    assert "no trial has a frechet_distance yet" in shown and "none yet" in shown
