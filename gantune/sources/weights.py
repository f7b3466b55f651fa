"""Where the weights of Inception-v3 are: a file of the user's, never downloaded."""

import os
from importlib.util import find_spec
from pathlib import Path

from gantune.errors import DataError

VARIABLE = "GANTUNE_INCEPTION"

FILE = "weights-inception-2015-12-05-6726825d.pth"
"""As torch-fidelity names it; the last part is how the file's SHA-256 begins."""

URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"


def inception_path() -> Path:
    """The file of weights: ``$GANTUNE_INCEPTION``, or where torch-fidelity keeps its download."""
    if own := os.environ.get(VARIABLE):
        return Path(own).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or f"{cache}/torch"
    return Path(home).expanduser() / "hub" / "checkpoints" / FILE


def find_inception() -> Path:
    """The file of weights, where everything that Inception's features need is there.

    Raises:
        DataError: torch-fidelity is not installed, or there is no such file.
    """
    if find_spec("torch_fidelity") is None:
        message = "inception needs torch-fidelity: pip install 'gantune[inception]'"
        raise DataError("eval.features", message)
    path = inception_path()
    if not path.is_file():
        message = f"inception needs its weights: download {URL}, and name the file in ${VARIABLE}"
        raise DataError("eval.features", f"{message}; there is none at {path}")
    return path
