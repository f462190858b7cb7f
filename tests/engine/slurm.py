"""A SLURM of one's own: munge, a controller and two nodes, all on this machine; needs root."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo")
CONFIGURATION = """\
ClusterName=pl
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
KillWait=2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=2000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=2000
PartitionName=lab Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


@contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """Start it in a folder; yield slurm.conf, for SLURM_CONF. Gone afterwards."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if os.geteuid() or missing:
        what = f"lacking: {', '.join(missing)}" if missing else "not root"
        pytest.skip(
            f"needs root and SLURM ({what}; apt-get install slurmctld slurmd munge slurm-client)"
        )
    (folder / "state").mkdir(parents=True)
    configuration = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(host=host, folder=folder, ports=ports(3))
    configuration.write_text(text)
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    names = {"socket": "socket", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
    files = [f"--{name}={folder}/munge.{end}" for name, end in names.items()]
    munged = ["munged", "--foreground", "--force", f"--key-file={key}", *files]
    conf = {"SLURM_CONF": str(configuration)}
    with ExitStack() as stack:
        stack.enter_context(daemon(munged, folder, conf))
        await_that((folder / "munge.socket").exists, folder)
        stack.enter_context(daemon(["slurmctld", "-D"], folder, conf))
        for node in ("n1", "n2"):
            stack.enter_context(daemon(["slurmd", "-D", "-N", node], folder, conf))
        await_that(lambda: said(["sinfo", "-h", "-o", "%D %t"], conf) == "2 idle", folder)
        yield configuration


def ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]


def said(words: list[str], variables: dict[str, str]) -> str:
    """What a command prints."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )
    return done.stdout.strip()


@contextmanager
def daemon(words: list[str], folder: Path, variables: dict[str, str]) -> Iterator[None]:
    """Run a daemon in the foreground; ended by its own id."""
    with (folder / "daemons.log").open("ab") as log:
        process = subprocess.Popen(
            words, stdout=log, stderr=log, env={**os.environ, **variables}, start_new_session=True
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_that(happens, folder: Path) -> None:
    """Wait at most 20 s; the daemons' last words are the failure's."""
    for _ in range(200):
        if happens():
            return
        time.sleep(0.1)
    logs = "\n".join(path.read_text()[-1500:] for path in sorted(folder.glob("*.log")))
    raise AssertionError(f"SLURM did not come up:\n{logs}")
