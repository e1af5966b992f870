"""A real SLURM of two nodes and a real PostgreSQL on this machine, in a folder of their own.

Everything runs in the foreground as a child of the tests, under ports that are free, so that
nothing else on the machine is touched and nothing is left.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NODES = ("n1", "n2")
_SLURM = """\
ClusterName={name}
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=10
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldPort={ports[0]}
SlurmdParameters=config_overrides
SlurmdTimeout=15
KillWait=15
MinJobAge=86400
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]} CPUs=4 RealMemory=4000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[2]} CPUs=4 RealMemory=4000
PartitionName=debug Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def why_no_slurm() -> str | None:
    """What keeps SLURM from being started here; None where nothing does."""
    needed = ("slurmctld", "slurmd", "sbatch", "squeue", "munged")
    missing = [name for name in needed if _program(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (tests/cluster/install.sh)"
    return None if os.geteuid() == 0 else "SLURM's daemons want root"


def why_no_postgres() -> str | None:
    """What keeps PostgreSQL from being started here; None where nothing does."""
    return (
        None if _postgres_programs() else "PostgreSQL is not installed (tests/cluster/install.sh)"
    )


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _postgres_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Looks again and again; an AssertionError names what did not come."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.2)


@dataclass
class Service:
    """Child processes by name, each with a log in the folder."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str, user: str | None = None) -> None:
        """Starts a process that stays."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, user=user, start_new_session=True,
                env=os.environ | self.environment,
            )  # fmt: skip

    def log(self, name: str) -> str:
        """What a process has said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def end(self, name: str, number: int = signal.SIGTERM) -> None:
        """Ends a process and waits for it."""
        process = self.processes.pop(name)
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def call(self, *command: str) -> str:
        """Runs a command to its end and returns what it printed."""
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              env=os.environ | self.environment)  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


class Slurm(Service):
    """SLURM with two nodes."""

    def up(self) -> None:
        """Starts everything, and returns once both nodes take jobs."""
        ports = free_ports(3)
        for name in ("munge", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        conf = self.folder / "slurm.conf"
        conf.write_text(_SLURM.format(folder=self.folder, ports=ports, name=self.folder.name))
        self.environment["SLURM_CONF"] = str(conf)
        self._munge()
        self.start("slurmctld", str(_program("slurmctld")), "-D", "-i")
        for node in NODES:
            self.node(node)
        wait_until(lambda: self._idle() == len(NODES), 60, self.log("slurmctld"))

    def _munge(self) -> None:
        folder = self.folder / "munge"
        key = folder / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        self.start("munged", str(_program("munged")), "--foreground", "--force",
                   f"--socket={folder}/socket", f"--key-file={key}", f"--pid-file={folder}/pid",
                   f"--log-file={folder}/log", f"--seed-file={folder}/seed")  # fmt: skip
        wait_until((folder / "socket").exists, 20, self.log("munged"))

    def node(self, name: str) -> None:
        """Starts a node."""
        self.start(name, str(_program("slurmd")), "-D", "-N", name)

    def _idle(self) -> int:
        done = subprocess.run(["sinfo", "--noheader", "--Node", "--format=%T"], text=True,
                              capture_output=True, env=os.environ | self.environment,
                              check=False)  # fmt: skip
        return done.stdout.split().count("idle")

    def jobs(self) -> dict[str, tuple[str, str]]:
        """State and node of each job that SLURM remembers, by its number."""
        text = self.call("squeue", "--noheader", "--states=all", "--format=%i|%T|%N")
        rows = [line.split("|") for line in text.splitlines()]
        return {job: (state, node) for job, state, node in rows}

    def running(self, node: str | None = None) -> list[str]:
        """The jobs that run, on a node or anywhere."""
        found = self.jobs().items()
        return [job for job, (state, on) in found if state == "RUNNING" and node in (None, on)]

    def processes_of(self, job: str) -> dict[int, str]:
        """The command of each process of a job, by its id; SLURM's own step daemons left out."""
        wanted = {"SLURM_CONF": self.environment["SLURM_CONF"], "SLURM_JOB_ID": job}
        return {pid: words for pid, words in processes_with(wanted).items()
                if "slurmstepd" not in words}  # fmt: skip

    def trainings(self, job: str) -> list[int]:
        """The Python processes of a job that train."""
        found = self.processes_of(job).items()
        return [pid for pid, words in found if "_submit" in words and "srun" not in words]

    def stop_node(self, name: str) -> None:
        """As if a machine lost its power: its daemon and all its processes are gone at once."""
        jobs = self.running(name)
        self.end(name, signal.SIGKILL)
        for job in jobs:
            for pid in processes_with({"SLURM_CONF": self.environment["SLURM_CONF"],
                                       "SLURM_JOB_ID": job}):  # fmt: skip
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def down(self) -> None:
        """Ends jobs and daemons."""
        with suppress(AssertionError):
            self.call("scancel", "--user=root", "--signal=KILL")
        for name in reversed([*self.processes]):
            self.end(name)
        for pid in processes_with({"SLURM_CONF": self.environment["SLURM_CONF"]}):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def processes_with(environment: Mapping[str, str]) -> dict[int, str]:
    """The command of each process, not this one, that was started with these variables, by id."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "environ").read_bytes().split(b"\0")
            if all(f"{name}={value}".encode() in words for name, value in environment.items()):
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = command.decode(errors="replace")
    found.pop(os.getpid(), None)
    return found


class Postgres(Service):
    """PostgreSQL with one database, that only the right password opens."""

    user, password, database = "optuna", "not/4@anyone", "sweeps"
    port = 0

    def up(self) -> None:
        """Makes the database and starts the server."""
        programs = _postgres_programs()
        assert programs is not None
        self.programs, self.data = programs, self.folder / "data"
        (self.port,) = free_ports(1)
        owner = "postgres" if os.geteuid() == 0 else None
        if owner is not None:
            shutil.chown(self.folder, owner)
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        subprocess.run([programs / "initdb", "-D", self.data, "-U", self.user, "-E", "UTF8",
                        "--auth=scram-sha-256", f"--pwfile={secret}"], check=True, user=owner,
                       capture_output=True)  # fmt: skip
        secret.unlink()
        self._owner = owner
        self.serve()
        self._make_database()

    def serve(self) -> None:
        """Starts the server, and returns once it answers."""
        self.start("postgres", str(self.programs / "postgres"), "-D", str(self.data),
                   "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
                   "-c", f"unix_socket_directories={self.folder}",
                   user=self._owner)  # fmt: skip
        ready = [self.programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, 30,
                   self.log("postgres"))  # fmt: skip

    def _make_database(self) -> None:
        import psycopg

        with psycopg.connect(host="127.0.0.1", port=self.port, user=self.user, dbname="postgres",
                             password=self.password, autocommit=True) as connection:  # fmt: skip
            connection.execute(f"create database {self.database}")

    @property
    def url(self) -> str:
        """As a user writes it."""
        from urllib.parse import quote

        secret = quote(self.password, safe="")
        return f"postgresql+psycopg://{self.user}:{secret}@127.0.0.1:{self.port}/{self.database}"

    def fall(self) -> None:
        """The server goes away at once, connections and all."""
        self.end("postgres", signal.SIGQUIT)

    def down(self) -> None:
        """Ends the server."""
        if "postgres" in self.processes:
            self.end("postgres", signal.SIGINT)


@contextmanager
def running(service: Service) -> Iterator[Service]:
    """A service inside, nothing of it afterwards."""
    try:
        service.up()
        yield service
    finally:
        service.down()
        shutil.rmtree(service.folder, ignore_errors=True)
