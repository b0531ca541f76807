"""A throw-away Slurm cluster on this machine: munge, a controller and several nodes with pretend GPUs, under one folder.

Debian's packages munge, slurmctld, slurmd and slurm-client, and slurmdbd and mariadb-server for accounting, run as root, with a
configuration of their own: nothing of the machine's is touched. All nodes share the machine's cores and files; a pretend GPU is
a device file that Slurm counts.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "slurmdbd", "mariadbd")
# Timers are short, for tests. Slurm's own: KillWait 30 s, SlurmdTimeout 300 s, MinJobAge 300 s, cred_expire (for which a
# requeued job is held back) 120 s. A node must not seem to be down, nor a job lost, because the machine is busy.
CONFIGURATION = """\
ClusterName=pretend
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller_port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthInfo=socket={folder}/munge/sock,cred_expire=5
SlurmUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
{accounting}
# A job that takes more memory than it asked for is killed, as cgroups do on a real cluster.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=2,batch_sched_delay=0,requeue_delay=2
KillWait=15
SlurmdTimeout=25
BatchStartTimeout=60
UnkillableStepTimeout=20
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
{node_lines}
PartitionName=normal Nodes={usual} Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=short Nodes=ALL Default=NO MaxTime=04:00:00 State=UP PriorityTier=1
PartitionName=long Nodes=ALL Default=NO MaxTime=INFINITE State=UP PriorityTier=1
"""
NOT_ACCOUNTED = "AccountingStorageType=accounting_storage/none\nMinJobAge=86400"
# Jobs are soon forgotten, and limits of an account hold.
ACCOUNTED = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/sock
AccountingStorageEnforce=limits
MinJobAge=2
"""
DAEMON = """\
AuthInfo=socket={folder}/munge/sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
"""


def obstacle() -> str:
    """Why a cluster cannot be started here, or nothing."""
    if os.geteuid() != 0:
        return "the test cluster's daemons need root"
    path = f"{os.environ['PATH']}:/usr/sbin"
    missing = ", ".join(name for name in NEEDED if shutil.which(name, path=path) is None)
    return missing and f"{missing}: not installed (Debian: munge slurmctld slurmd slurm-client slurmdbd mariadb-server)"


@contextlib.contextmanager
def started(**options) -> Iterator["Cluster"]:
    """A cluster at work, for tests; skips them, with the reason, where it cannot be started."""
    if reason := obstacle():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = Cluster(folder, **options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder)


@dataclass
class Cluster:
    """A cluster of nodes n1, n2, … with so many CPUs and a GPU each, in a folder whose path is short (it holds sockets).

    gpus: of the last node, which belongs to all partitions but the default one if it has several. accounted: whether there is
    accounting; root's accounts are `lab` and `guests`.
    """

    folder: Path
    nodes: int = 2
    cpus: int = 6
    gpus: int = 1
    accounted: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """Write the configuration, start munge, the controller and the nodes, and wait until all are idle."""
        for name in ("munge", "state", "log", "bin", "dev"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o711)
        key = self.folder / "munge" / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(1024))
        controller, accounting, database, *nodes = _free_ports(self.nodes + 3)
        self._configure(controller, accounting, nodes)
        # The jobstep plugin takes SLURM_CONF from the environment of its srun, which expects /etc/slurm/slurm.conf then.
        srun = self.folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.configuration} exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        path = f"{srun.parent}:{os.environ['PATH']}:/usr/sbin"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
        self.environment = clean | {"SLURM_CONF": str(self.configuration), "PATH": path}
        files = {"key-file": key, "socket": "sock", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [f"--{option}={self.folder / 'munge' / name}" for option, name in files.items()]
        self.run("munged", "--force", *munge, "--num-threads=2")
        if self.accounted:
            self._start_accounting(accounting, database)
        self.start_controller()
        for node in self.names:
            self.start_node(node)
        self.wait(lambda: self.states() == dict.fromkeys(self.names, "idle"), "all nodes to be idle", 30)

    def stop(self) -> None:
        """kill -9 every process of the cluster, its jobs' too."""
        while processes := self.processes():
            _kill(processes)
            psutil.wait_procs(processes, timeout=5)

    def run(self, *command: str) -> str:
        """Run a command against this cluster; returns what it printed. On a busy machine the controller may miss a question."""
        for _ in range(3):
            ended = subprocess.run(
                command, env=self.environment, cwd=self.folder / "log", stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            if ended.returncode == 0 or command[0] not in ("squeue", "sinfo"):
                break
        assert ended.returncode == 0, f"{' '.join(command)}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    @property
    def configuration(self) -> Path:
        """slurm.conf."""
        return self.folder / "slurm.conf"

    @property
    def names(self) -> list[str]:
        """The nodes' names."""
        return [f"n{number}" for number in range(1, self.nodes + 1)]

    def states(self) -> dict[str, str]:
        """Each node's state; with a star when it does not answer."""
        lines = self.run("sinfo", "--noheader", "--Node", "--partition=long", "--format=%N %T").split("\n")
        return dict(line.split() for line in lines if line)

    def jobs(self, *options: str) -> list[dict[str, str]]:
        """All jobs that squeue shows with these options."""
        names = {"JobID": "id", "State": "state", "NumNodes": "nodes", "NumCPUs": "cpus", "MinMemory": "memory"}
        names |= {"tres-per-job": "gpus", "Name": "name", "Comment": "comment", "WorkDir": "folder"}
        columns = ",".join(f"{name}:200" for name in names)
        lines = self.run("squeue", "--noheader", f"--Format={columns}", *options).splitlines()
        rows = [[line[start : start + 200].strip() for start in range(0, 200 * len(names), 200)] for line in lines]
        return [dict(zip(names.values(), row, strict=True)) for row in rows]

    def start_controller(self) -> None:
        """Start slurmctld."""
        self.run("slurmctld", "-f", str(self.configuration))

    def kill_controller(self) -> None:
        """kill -9 slurmctld."""
        _kill([_process_of(self.folder / "slurmctld.pid")])

    def start_node(self, node: str) -> None:
        """Start a node's slurmd."""
        self.run("slurmd", "-N", node, "-f", str(self.configuration))

    def kill_daemon(self, node: str) -> None:
        """kill -9 slurmd of a node: its jobs run on, as when the network between node and controller breaks."""
        _kill([_process_of(self.folder / f"slurmd-{node}.pid")])

    def crash(self, node: str) -> None:
        """kill -9 slurmd, its jobs and all of their processes, as when a node loses power."""
        log = str(self.folder / "log" / f"slurmd-{node}.log")
        daemons, jobs = [], []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if log in {file.path for file in process.open_files()}:
                    daemons.append(process)
                    jobs += process.children(recursive=True)
        _kill([*daemons, *jobs])  # daemons first: a step whose job dies reports that; numbers of processes begin anew

    @staticmethod
    def wait(condition, what: str, seconds: float = 60.0):
        """Wait until a condition holds; returns its value."""
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
            time.sleep(0.1)
        return value

    def _configure(self, controller: int, accounting: int, ports: list[int]) -> None:
        nodes, gres = [], ["AutoDetect=off"]
        for node, port in zip(self.names, ports, strict=True):
            (self.folder / f"spool-{node}").mkdir()
            gpus = self.gpus if node == self.names[-1] else 1
            nodes.append(
                f"NodeName={node} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs={self.cpus} RealMemory=64000 "
                f"Gres=gpu:{gpus} State=UNKNOWN"
            )
            for number in range(gpus):
                device = self.folder / "dev" / f"{node}-gpu{number}"
                os.mknod(device, 0o20666, os.makedev(1, 3))
                gres.append(f"NodeName={node} Name=gpu File={device}")
        places = {"folder": self.folder, "controller_port": controller, "node_lines": "\n".join(nodes)}
        places["usual"] = ",".join(self.names[: -1 if self.gpus > 1 else None])
        kept = ACCOUNTED.format(folder=self.folder, port=accounting) if self.accounted else NOT_ACCOUNTED
        self.configuration.write_text(CONFIGURATION.format(**places, accounting=kept))
        (self.folder / "gres.conf").write_text("\n".join(gres) + "\n")

    def _start_accounting(self, port: int, database: int) -> None:
        """MariaDB, slurmdbd, and an account for root."""
        daemon = self.folder / "slurmdbd.conf"
        daemon.touch(mode=0o600)
        daemon.write_text(DAEMON.format(folder=self.folder, port=port, database=database))
        data = [f"--datadir={self.folder / 'database'}", "--user=root"]
        self.run("mariadb-install-db", "--no-defaults", *data, "--skip-test-db")
        command = ["mariadbd", "--no-defaults", *data, "--skip-grant-tables", "--bind-address=127.0.0.1", f"--port={database}"]
        command.append(f"--socket={self.folder / 'database' / 'sock'}")
        with open(self.folder / "log" / "mariadbd.log", "w") as log:
            subprocess.Popen(command, env=self.environment, cwd=self.folder / "log", stdin=subprocess.DEVNULL, stderr=log)
        self.wait(lambda: _listens(database), "MariaDB", 60)
        self.run("slurmdbd")
        self.wait(lambda: _listens(port), "slurmdbd", 60)
        for what in (["cluster", "pretend"], ["account", "lab,guests"], ["user", "root", "account=lab,guests"]):
            self.run("sacctmgr", "--immediate", "add", *what)

    def processes(self) -> list[psutil.Process]:
        """Daemons and jobs of this cluster, by their environment or their working folder."""
        found = []
        psutil.process_iter.cache_clear()  # it takes a process for an older one of the same number, and does not kill it
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                own = process.environ().get("SLURM_CONF") == str(self.configuration)
                if own or Path(process.cwd()) == self.folder / "log":
                    found.append(process)
        return found


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _process_of(file: Path) -> psutil.Process:
    return psutil.Process(int(file.read_text()))


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
