"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (YAML).")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the study; repeatable."),
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Trials at once, at most; default as many as fit.")
]

TimeBudget = Annotated[
    str | None, typer.Option(metavar="30m", help="End cleanly after so long: 90s, 30m, 1h30m, 2d.")
]

Address = Annotated[
    str | None,
    typer.Option(
        metavar="auto|HOST:PORT", help="Of a Ray cluster to run on; default this machine alone."
    ),
]

Storage = Annotated[
    str | None,
    typer.Option(
        metavar="s3://BUCKET/FOLDER|gs://...|/shared/...",
        help="A store that keeps the run as it goes on: its nodes need no directory in common.",
    ),
]

Trust = Annotated[
    bool,
    typer.Option("--trust", help="Run extensions from another user's directory, or from a store."),
]
