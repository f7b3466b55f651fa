#!/usr/bin/env bash
# A study on whole nodes of a Slurm cluster; submitted again, it goes on with its run:
#   sbatch deploy/slurm.sh STUDY.yaml /shared/runs [NAME]
# GANTUNE_ENV is a virtual environment with gantune[cluster]; it, the study, the runs and your home
# are on a file system that all nodes see. Checked by bash and shellcheck, and run by tests with
# srun, scontrol and ray replaced; not run on a Slurm cluster. See docs/cluster.md.
#SBATCH --job-name=gantune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
# Ray's ports, and `ray stop` at the end, want nodes of one's own.
#SBATCH --exclusive
# For GPUs: #SBATCH --gpus-per-task=4
set -euo pipefail

study=${1:?usage: sbatch slurm.sh STUDY.yaml RUNS_DIR [NAME]}
runs=${2:?usage: sbatch slurm.sh STUDY.yaml RUNS_DIR [NAME]}
name=${3:-$(basename "$study" .yaml)}
PATH="${GANTUNE_ENV:?the virtual environment with gantune}/bin:$PATH"
export PATH

# Without a token anybody who reaches the nodes may run code there.
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
umask 077
[[ -s ~/.ray/auth_token ]] || ray get-auth-token --generate > /dev/null
chmod 600 ~/.ray/auth_token

command=(gantune run "$study" --name "$name" --runs-dir "$runs")
if [[ -f "$runs/$name/study.yaml" ]]; then
  command=(gantune resume "$runs/$name")
fi
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
srun --cpus-per-task "$SLURM_CPUS_PER_TASK" ray symmetric-run \
  --address "$head:6379" --min-nodes "$SLURM_JOB_NUM_NODES" \
  --num-cpus "$SLURM_CPUS_PER_TASK" -- "${command[@]}" --address auto
