"""What ordinary accidents of a cluster do to fine-tuning stages: one run of the workflow in which each stage meets another one.

A stage is long here by standing still: its process is stopped (SIGSTOP) once it has saved a checkpoint, and goes on when its
accident has come. So every accident meets a stage that is under way, on a machine of any speed.
"""

import contextlib
import re
import signal
import subprocess
import time

import psutil

from workflow_runs import SlurmRun, snakemake

ACCIDENTS = ("cancelled", "requeued", "preempted", "crashed", "lost", "full", "timed", "orphan")
# Where a stage is to run: an accident of a node meets one stage; what is lost on n3 starts again on n5.
PLACES = {"preempted": "--nodelist=n1", "crashed": "--nodelist=n2", "lost": "--exclude=n1,n2,n4"}
ELSEWHERE = "--nodelist=n4"
STEPS = 100
TMPFS_MB, BALLAST_MB = 260, 180
GROUPS = "results/slice/training/memory.groups.safetensors"


def config():
    """The accidents as objectives, each a stage of the same settings, and so with the same weights in the end."""
    stages = {name: {"like": "cl", "steps": STEPS} for name in (*ACCIDENTS, "undisturbed")}
    memory = {"like": "cl", "candidates": {"queryset": "wikipedia-train", "retriever": "bm25", "depth": 10}}
    return {"objectives": stages | {"memory": memory}, "training": {"checkpoint_minutes": 0.01}}


def model(name):
    """The target of a stage."""
    return f"results/slice/models/tiny/{name}/seed42/model.safetensors"


class Faults:
    """The run: `provoke` brings the accidents and sees the workflow to its end; what was seen is kept for the tests.

    saved: the step that each stage had saved when its accident came. said, unlocked: what Snakemake said in its first life and
    in its second.
    """

    def __init__(self, cluster, folder, configs):
        self.cluster, self.folder, self.configs = cluster, folder, configs
        self.saved: dict[str, int] = {}
        self.said, self.unlocked = "", ""
        self.disk = folder / "results" / "slice" / "state" / "tiny" / "full"

    def mount(self):
        """Give one stage a disk that can be full; returns what stands against it, or nothing."""
        self.disk.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", self.disk]
        return subprocess.run(command, capture_output=True, text=True).stderr

    def start(self):
        """Snakemake on all targets. Where a stage goes, and what the first attempt lacks, is set by its resources."""
        places = " else ".join(f"'{place}' if wildcards.recipe == '{name}'" for name, place in PLACES.items())
        resources = [
            "finetune:gpu=0",
            "finetune:mem_mb=3000",
            "finetune:runtime=30",
            f"finetune:slurm_extra='--signal=TERM@10 ' + ({places} else '{ELSEWHERE}')",
            "training_groups:mem_mb=150 if attempt == 1 else 3000",
        ]
        targets = [*map(model, ACCIDENTS), GROUPS]
        return SlurmRun(self.cluster, self.folder, "--set-resources", *resources, "--", *targets, configs=self.configs)

    def provoke(self):
        """Bring every accident about, then kill Snakemake itself and start it again."""
        (self.disk / "ballast").write_bytes(bytes(BALLAST_MB * 2**20))
        run = self.start()
        try:
            self._hold_all(run)
            self._restart_controller(run)
            self._strike()
            self._see_through(run)
        except BaseException:
            run.kill()
            print(run.text()[-6000:])
            raise
        self.said = run.text()
        run.kill()
        unlock = snakemake(self.folder, "--unlock", configs=self.configs)
        assert unlock.returncode == 0
        again = self.start()
        self._outage(again)
        again.succeed()
        self.unlocked = again.text()
        print((self.cluster.folder / "log" / "slurmctld.log").read_text())  # pytest shows it beside a test that fails

    def log(self, name):
        """What the last attempt of a stage has logged, nothing where it has not begun."""
        path = self._log_file(name)
        return path.read_text() if path.exists() else ""

    def resumed(self, name):
        """The step from which the last attempt of a stage went on."""
        return int(re.search(r" resuming from the checkpoint of step (\d+) of", self.log(name))[1])

    def _hold_all(self, run):
        """Let every stage save a checkpoint and stand still there."""
        waiting, deadline = set(ACCIDENTS), time.monotonic() + 300
        while waiting:
            assert time.monotonic() < deadline and run.process.poll() is None, f"{waiting} have not begun: {run.text()[-3000:]}"
            for name in list(waiting):
                if step := self._newest(name):
                    self._signal(name, signal.SIGSTOP)
                    self.saved[name] = step
                    waiting.remove(name)
            time.sleep(0.05)

    def _restart_controller(self, run):
        """An outage of the controller, which Snakemake waits out with all its jobs under way."""
        self.cluster.kill_controller()
        time.sleep(5)
        self.cluster.start_controller()
        self.cluster.wait(lambda: len(self._jobs()) == len(ACCIDENTS), "the controller to know its jobs again", 60)
        assert run.process.poll() is None

    def _outage(self, run):
        """The controller is away when the plugin looks at its job."""
        self.cluster.wait(lambda: "has been submitted" in run.text(), "the orphan's stage", 120)
        self.cluster.run("scontrol", "shutdown", "slurmctld")
        self.cluster.wait(lambda: "MinJobAge=None" in run.text(), "a look", 120)
        self.cluster.start_controller()

    def _strike(self):
        """Slurm itself lets the stages go on that it is to end."""
        cluster, job = self.cluster, self._jobs()
        self._signal("full", signal.SIGCONT)
        cluster.run("scancel", job["cancelled"])
        cluster.run("scontrol", "requeue", job["requeued"])
        cluster.run("scontrol", "update", f"JobId={job['timed']}", "TimeLimit=1")
        urgent = ["--partition=urgent", "--nodelist=n1", "--exclusive", "--mem=1000", "--output=/dev/null", "--wrap=sleep 2"]
        cluster.run("sbatch", *urgent)
        cluster.wait(lambda: self._state(job["preempted"]) not in ("RUNNING", None), "preemption", 60)
        cluster.crash("n2")
        cluster.kill_daemon("n3")

    def _see_through(self, run):
        """React as people and nodes would, until all but the orphan have ended."""
        crashed_down = freed = back = False
        deadline = time.monotonic() + 400
        while not all((self.folder / path).exists() for path in [*map(model, set(ACCIDENTS) - {"orphan"}), GROUPS]):
            assert time.monotonic() < deadline and run.process.poll() is None, run.text()[-3000:]
            if not crashed_down and self.cluster.states()["n2"].startswith("down"):
                self.cluster.start_node("n2")
                crashed_down = True
            if not freed and "No space left on device" in run.text():
                (self.disk / "ballast").unlink()
                freed = True
            if not back and "another process is training this stage" in self.log("lost"):
                self.cluster.start_node("n3")
                back = True
            time.sleep(0.2)
        self.cluster.wait(lambda: set(self._jobs()) == {"orphan"}, "all jobs but the orphan to end", 60)

    def _log_file(self, name):
        return self.folder / f"results/slice/logs/finetune/tiny/{name}/seed42.log"

    def _newest(self, name):
        """The step of the newest checkpoint, 0 where there is none."""
        folder = self.folder / "results" / "slice" / "state" / "tiny" / name / "seed42"
        return max((int(path.name[5:13]) for path in folder.glob("*/step-*.pt")), default=0)

    def _signal(self, name, number):
        """Send a signal to the process that trains a stage, which is the one that writes its log."""
        for process in self.cluster.processes():
            with contextlib.suppress(psutil.Error):
                if str(self._log_file(name)) in {file.path for file in process.open_files()}:
                    process.send_signal(number)

    def _jobs(self):
        """The job of each stage."""
        found = {}
        for job in self.cluster.jobs("--states=RUNNING"):
            if stage := re.fullmatch(r"rule_finetune_wildcards_tiny_(\w+)_42", job["comment"]):
                found[stage[1]] = job["id"]
        return found

    def _state(self, job):
        return next((row["state"] for row in self.cluster.jobs(f"--jobs={job}", "--states=all")), None)
