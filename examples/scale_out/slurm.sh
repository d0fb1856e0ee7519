#!/bin/bash
# Enlarge an archive by 64 tasks, 16 at a time, each with its part of the photos:
#   PHOTOS=/archive/photos RESULTS=/archive/large sbatch slurm.sh
# Some of them again:
#   PHOTOS=/archive/photos RESULTS=/archive/large sbatch --array=3,7 slurm.sh
#SBATCH --job-name=pixperts
#SBATCH --array=1-64%16
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=12:00:00
#SBATCH --output=pixperts-%A_%a.log
set -euo pipefail

: "${PHOTOS:?names the folder of photos}" "${RESULTS:?names the folder of results}"
SHARDS=${SHARDS:-64} # as many as --array has, counted from 1

export OMP_NUM_THREADS="${SLURM_CPUS_PER_TASK:-1}"
exec pixperts upscale "$PHOTOS" -r -o "$RESULTS/" --scale 2 --quiet \
    --shard "auto/$SHARDS" --manifest "$RESULTS.parts/$SLURM_ARRAY_TASK_ID.jsonl"
