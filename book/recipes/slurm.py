"""Grade a class on Slurm:  python slurm.py SUBMISSIONS RESULTS  (on a login node)."""

import subprocess
import sys

from dask_jobqueue import SLURMCluster


def cluster() -> SLURMCluster:
    """One job of 16 workers, each of one thread. Say here what your Slurm is called."""
    return SLURMCluster(queue="main", cores=16, processes=16, memory="64GB", walltime="01:00:00")


def main(submissions: str, results: str) -> int:
    """Start two such jobs, grade on them when the first worker is there, end them."""
    with cluster() as slurm:
        slurm.scale(jobs=2)
        slurm.wait_for_workers(1)
        command = ["attncourse", "grade", submissions, "--out", results]
        return subprocess.run([*command, "--scheduler", slurm.scheduler_address]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
