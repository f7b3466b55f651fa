"""Commands that run a study as a job of a cluster."""

import os
import shlex
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from gantune.document import read_document
from gantune.errors import GantuneError, UsageError
from gantune.extensions import read_extension
from gantune.options import Storage, Trust
from gantune.ownership import refuse_of_others
from gantune.paths import run_paths
from gantune.terminal import say, say_log
from gantune.views import WithReport

if TYPE_CHECKING:
    from gantune.tuning.submission import Head

FAILED, INTERRUPTED = 1, 130


class Upload(NamedTuple):
    """What of a study is sent to a cluster.

    Attributes:
        name: The study's.
        folder: Where its files are, as they lie to each other.
        study: The study file, relative to the folder.
    """

    name: str
    folder: Path
    study: Path


def submit(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study file (YAML).")],
    address: Annotated[
        str, typer.Option(metavar="http://HEAD:8265", help="Of the dashboard of a cluster's head.")
    ],
    runs_dir: Annotated[
        Path, typer.Option(help="Where the cluster keeps runs: a directory that all nodes share.")
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the study."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; default the study's.")] = None,
    storage: Storage = None,
    concurrency: Annotated[int | None, typer.Option(min=1, help="Trials at once, at most.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Do not follow: say how to, and end.")
    ] = False,
    trust: Trust = False,
    report: WithReport = True,
) -> None:
    """Run a study as a job of a Ray cluster: follow its log, fetch its report."""
    if not runs_dir.is_absolute():
        raise UsageError(f"--runs-dir {runs_dir}: the whole path, as the cluster's nodes see it")
    with tempfile.TemporaryDirectory() as folder:
        upload = pack(study, Path(folder), trust=trust)
        root = run_paths(runs_dir, name or upload.name).root
        command = ["python", "-m", "gantune", "run", upload.study.as_posix(), "--address", "auto"]
        command += ["--runs-dir", str(runs_dir), "--name", root.name, "--no-report"]
        command += ["--storage", storage] if storage else []
        command += ["--concurrency", str(concurrency)] if concurrency else []
        command += [f"--set={text}" for text in set_ or []]
        from gantune.tuning.submission import Head

        head = Head(address)
        job = head.submit(shlex.join(command), upload.folder)
    if detach:
        say(f"job {job} runs on {head.address}\n{_how_to(head, job, root)}")
        return
    say(f"job {job}; Ctrl-C leaves it running", err=True)
    _finish(head, job, root, report=report)


def _finish(head: "Head", job: str, root: Path, *, report: bool) -> None:
    try:
        end = head.follow(job, say_log)
    except (KeyboardInterrupt, GantuneError) as error:
        if isinstance(error, GantuneError):
            say(f"error: {error}", err=True)
        say(f"\njob {job} goes on without this terminal\n{_how_to(head, job, root)}", err=True)
        code = FAILED if isinstance(error, GantuneError) else INTERRUPTED
        raise typer.Exit(code) from None
    if report and end.code in (0, FAILED):
        try:
            page = head.fetch_report(str(root), Path("reports") / root.name)
            say(f"report: {page}")
        except GantuneError as error:
            say(f"no report: {error}", err=True)
    if end.code:
        say(f"job {job}: {end.message}", err=True)
        raise typer.Exit(end.code)


def _how_to(head: "Head", job: str, root: Path) -> str:
    to = f"--address {head.address}"
    again = shlex.join(["python", "-m", "gantune", "resume", str(root), "--address", "auto"])
    return "\n".join(
        [
            f"  follow:  ray job logs --follow {to} {job}",
            f"  stop:    ray job stop {to} {job}",
            f"  go on:   ray job submit {to} -- {again}",
            f"  report:  gantune report {shlex.quote(str(root))}   (where that directory is seen)",
        ]
    )


def pack(study: Path, folder: Path, *, trust: bool = False) -> Upload:
    """Copies a study file and its extensions, and nothing else.

    The study is checked on the cluster, which has its data. Whose the files were is not seen there:
    the copies are the job's user's.

    Args:
        study: The file.
        folder: An empty one.
        trust: Whether extensions may be in another user's file or folder.

    Raises:
        ConfigError: The file is not YAML.
        UsageError: It, or an extension, cannot be read, or cannot be found there as it is here, or
            is another user's.
    """
    tree = read_document(study).value
    if not isinstance(tree, dict) or not isinstance(tree.get("name"), str):
        raise UsageError(f"{study} is no study: it has no name")
    named = tree.get("extensions")
    extensions = named if isinstance(named, list) else []
    # Others are texts in the study.
    files = [item for item in extensions if isinstance(item, str)]
    for item in files:
        if PurePosixPath(item).is_absolute():
            raise UsageError(f"extensions: {item}: write it relative to the study file")
    here = study.parent.resolve()
    paths = [Path(os.path.normpath(here / file)) for file in (study.name, *files)]
    for path in (study, *paths) if extensions and not trust else ():
        refuse_of_others(path)
    for path in paths[1:]:
        read_extension(path, trust=True)  # one that no study takes is not sent, however large
    base = Path(os.path.commonpath([path.parent for path in paths]))
    for path in paths:
        target = folder / path.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, target)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    return Upload(str(tree["name"]), folder, paths[0].relative_to(base))
