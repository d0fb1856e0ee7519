#!/bin/bash
# Enlarge an archive by a Ray cluster of four nodes, which lives as long as this job:
#   PHOTOS=/archive/photos RESULTS=/archive/large sbatch ray_slurm.sh
#SBATCH --job-name=pixperts-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=24:00:00
#SBATCH --output=pixperts-ray-%j.log
set -euo pipefail

: "${PHOTOS:?names the folder of photos}" "${RESULTS:?names the folder of results}"
NODES=${SLURM_JOB_NUM_NODES:-1}
PROCESSORS=${SLURM_CPUS_PER_TASK:-1}
HEAD=$(hostname) # the script runs on the first node
PORT=${PORT:-6379}

export RAY_USAGE_STATS_ENABLED=0
trap 'ray stop' EXIT
ray start --head --port="$PORT" --num-cpus="$PROCESSORS" --include-dashboard=false
if ((NODES > 1)); then
    srun --nodes=$((NODES - 1)) --ntasks=$((NODES - 1)) --exclude="$HEAD" \
        ray start --address="$HEAD:$PORT" --num-cpus="$PROCESSORS" --block &
fi
# As many processes as all nodes have processors: those that come late are used, too.
pixperts upscale "$PHOTOS" -r -o "$RESULTS/" --scale 2 \
    --engine ray --address "$HEAD:$PORT" --processes $((NODES * PROCESSORS)) \
    --manifest "$RESULTS.jsonl"
