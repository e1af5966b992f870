#!/usr/bin/env bash
# What the tests marked "cluster" run against: SLURM and PostgreSQL of a Debian or Ubuntu.
# Installs what is missing; without root or apt-get it says so, and the tests skip.
set -euo pipefail
missing=()
command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v sbatch >/dev/null ||
    missing+=(slurm-wlm)
command -v munged >/dev/null || [ -x /usr/sbin/munged ] || missing+=(munge)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, and only root with apt-get can: ${missing[*]}" >&2
    exit 0
fi
echo "installing ${missing[*]}"
# Another apt-get may be at work.
WAIT=(-o DPkg::Lock::Timeout=300)
apt-get update -qq "${WAIT[@]}"
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${WAIT[@]}" \
    --no-install-recommends "${missing[@]}"
