"""The same trial on a CUDA device. Run with ``pytest -m gpu`` where there is one."""

from pathlib import Path

import pytest
import torch
from test_host import base, numbers, run, spec

from gantune.host import Host

pytestmark = pytest.mark.gpu


def test_a_trial_on_the_gpu(tmp_path: Path) -> None:
    on_gpu = [
        numbers(run(Host(), spec(tmp_path / name, base(device="cuda")))) for name in ("a", "b")
    ]
    assert on_gpu[0] == on_gpu[1]
    assert torch.cuda.max_memory_allocated() > 0
    # Draws differ between devices, so that only the course of training can be compared.
    on_cpu = numbers(run(Host(), spec(tmp_path / "cpu", base(device="cpu"))))
    assert on_gpu[0][-1]["d_loss"] == pytest.approx(on_cpu[-1]["d_loss"], rel=0.2)


def test_a_trial_resumed_on_the_gpu(tmp_path: Path) -> None:
    whole = run(Host(), spec(tmp_path / "whole", base(device="cuda")))
    broken = run(Host(), spec(tmp_path / "broken", base(device="cuda")), until=2)
    resumed = run(Host(), spec(tmp_path / "broken", base(device="cuda")))
    assert numbers(broken + resumed) == numbers(whole)
