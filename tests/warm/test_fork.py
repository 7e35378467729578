"""A job in a fork of the warm process is what it would be in a Python of its own."""

import json
import marshal
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from rules.warm.client import VARIABLE
from rules.warm.start import CLIENT, SOCKET, Shell, launch
from tests import PROJECT

TELL = """
import atexit, json, os, signal, sys, threading, time
import beside
import threadpoolctl
import numpy
atexit.register(print, "at exit")
threading.Thread(target=lambda: print(time.sleep(0.5) or "from a thread")).start()
numpy.zeros((200, 200)) @ numpy.zeros((200, 200))
print(json.dumps({
    "argv": sys.argv,
    "path": sys.path[0],
    "name": __name__,
    "file": __file__,
    "folder": os.getcwd(),
    "environment": {k: v for k, v in os.environ.items() if k not in ("_", "SHLVL")},
    "umask": os.umask(0),
    "beside": beside.VALUE,
    "encoding": [sys.stdout.encoding, sys.stdout.errors, sys.stderr.errors],
    "terminal": os.isatty(1),
    "interrupt": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "descriptors": len(os.listdir("/proc/self/fd")),
    "threads": [pool["num_threads"] for pool in threadpoolctl.threadpool_info()],
    "project": sorted(name for name in sys.modules if name.startswith(("squeezed", "rules"))),
}))
print("an error's words", file=sys.stderr)
"""


class Warm:
    """A warm process, and what stands for a rule's command."""

    def __init__(self, tmp_path):
        self.environment = dict(os.environ)  # pytest changes its own while a test runs
        self.folder, self.alive = launch(["numpy", "threadpoolctl"])
        self.tmp_path = tmp_path
        (tmp_path / "beside.py").write_text("VALUE = 1\n")

    def close(self):
        """What Snakemake's end does."""
        if self.alive is not None:
            os.close(self.alive)
            self.alive = None

    @property
    def server(self):
        """Its process."""
        children = psutil.Process().children()
        return next(
            child
            for child in children
            if child.status() != psutil.STATUS_ZOMBIE and str(self.folder) in child.cmdline()
        )

    def command(self, *words, client=True):
        first = ("-I", "-S", str(PROJECT / CLIENT)) if client else ()
        return [sys.executable, *first, "job.py", *words]

    def settings(self, **variables):
        environment = {**self.environment, VARIABLE: str(self.folder / SOCKET), **variables}
        return {"cwd": self.tmp_path, "env": environment, "text": True}

    def run(self, text, *words, client=True, **variables):
        (self.tmp_path / "job.py").write_text(text)
        command = self.command(*words, client=client)
        return subprocess.run(command, capture_output=True, **self.settings(**variables))

    def start(self, text, **variables):
        """Start a job that says its process in its first line; return the client and that."""
        (self.tmp_path / "job.py").write_text(text)
        settings = self.settings(**variables)
        client = subprocess.Popen(self.command(), stdout=subprocess.PIPE, **settings)
        return client, psutil.Process(int(client.stdout.readline()))


@pytest.fixture
def warm(tmp_path):
    warm = Warm(tmp_path)
    yield warm
    warm.close()


WHOSE = "import os; print(os.getppid())"


def is_forked(warm, **variables):
    done = warm.run(WHOSE, **variables)
    assert done.returncode == 0, done.stderr
    return int(done.stdout) == warm.server.pid


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_fork_is_as_a_python_of_its_own(warm, threads):
    variables = {
        **{f"{name}_NUM_THREADS": threads for name in ("OMP", "OPENBLAS", "MKL")},
        "TMPDIR": str(warm.tmp_path),
        "SQUEEZED_GPUS": "0",
        "PS1": "(.venv) ",  # of an activated environment, which a job's shell takes away
    }
    words = ("--settings", '{"a": "ä"}', "")
    assert is_forked(warm, **variables)
    found = warm.run(TELL, *words, **variables)
    expected = warm.run(TELL, *words, client=False, **variables)
    assert (found.returncode, found.stderr) == (expected.returncode, expected.stderr)
    told, *rest = found.stdout.splitlines()
    told_expected, *rest_expected = expected.stdout.splitlines()
    assert json.loads(told) == json.loads(told_expected)
    assert rest == rest_expected == ["from a thread", "at exit"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("raise SystemExit(3)", 3),
        ("raise SystemExit(258)", 2),
        ("print('no line', end='')", 0),
        ("import ctypes; ctypes.CDLL(None).printf(b'in a buffer of C')", 0),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        ("raise SystemExit('a sentence')", 1),
        ("raise ValueError('a mistake')", 1),
        ("import os; os._exit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
    ],
)
def test_a_job_ends_as_it_would(warm, text, status):
    assert is_forked(warm)
    found, expected = warm.run(text), warm.run(text, client=False)
    assert found.returncode == expected.returncode == status
    assert (found.stdout, found.stderr) == (expected.stdout, expected.stderr)


WAIT = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
TIDY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_signal_reaches_the_job(warm):
    client, _ = warm.start(TIDY)
    client.terminate()
    assert client.wait(10) == 5


def test_a_job_ends_with_its_client(warm):
    client, job = warm.start(WAIT)
    client.kill()
    client.wait()
    job.wait(10)
    assert is_forked(warm)


def test_jobs_end_with_snakemake(warm):
    client, job = warm.start(WAIT)
    server = warm.server
    warm.close()
    server.wait(20)
    assert not job.is_running()
    assert client.wait(10) == -signal.SIGTERM
    assert not warm.folder.exists()
    assert warm.run(WHOSE).returncode == 0  # by plain Python


def test_jobs_end_with_the_warm_process(warm):
    client, job = warm.start(WAIT)
    warm.server.kill()
    job.wait(10)
    assert client.wait(10) == 1
    shutil.rmtree(warm.folder)


@pytest.mark.parametrize(
    "variables",
    [{VARIABLE: "off"}, {VARIABLE: "/nowhere/socket"}, {"MALLOC_TOP_PAD_": "1"}, {"LD_DEBUG": ""}],
)
def test_another_environment_gets_a_python_of_its_own(warm, variables):
    assert not is_forked(warm, **variables)
    assert is_forked(warm)


def test_a_process_with_threads_does_not_fork(tmp_path):
    """A library that starts a thread when it is loaded costs the time, not the results."""
    (tmp_path / "starts_a_thread.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "open('loaded', 'w').close()\n"
    )
    script = (
        f"import os; os.environ['PYTHONPATH'] = {str(tmp_path)!r} + os.pathsep + {str(PROJECT)!r}\n"
        "from rules.warm.start import launch\n"
        "import subprocess, sys\n"
        "folder, alive = launch(['starts_a_thread'])\n"
        f"os.environ[{VARIABLE!r}] = str(folder / 'socket')\n"
        f"command = [sys.executable, '-I', '-S', {str(PROJECT / CLIENT)!r}, 'job.py']\n"
        "while not os.path.exists('loaded'): pass\n"
        "print(subprocess.check_output(command, text=True).strip() == str(os.getpid()))\n"
    )
    (tmp_path / "job.py").write_text(WHOSE)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"


def test_modules_are_compiled_once_where_they_may_not_be_written_beside_sources(
    tmp_path, monkeypatch
):
    """As in many images for containers, and each job would compile the project anew."""
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    warm = Warm(tmp_path)
    try:
        compiled = "import beside; print(beside.VALUE)"
        assert [warm.run(compiled).stdout for _ in range(2)] == ["1\n", "1\n"]
        (kept,) = (warm.folder / "bytecode").iterdir()
        other = compile("VALUE = 'kept'", "beside.py", "exec")
        kept.write_bytes(marshal.dumps(other))
        assert warm.run(compiled).stdout == "kept\n"
        kept.write_bytes(b"cut off")
        assert warm.run(compiled).stdout == "1\n"
        (tmp_path / "beside.py").write_text("VALUE = 2\n")  # as long as it was, in its second
        assert warm.run(compiled).stdout == "2\n"
        assert not list(tmp_path.rglob("*.pyc"))
    finally:
        warm.close()


def test_code_is_as_it_is_when_a_job_starts(warm):
    text = "import beside; print(beside.VALUE)"
    assert warm.run(text).stdout == "1\n"
    (warm.tmp_path / "beside.py").write_text("VALUE = 'new'\n")
    (warm.tmp_path / "added.py").write_text("VALUE = 'added'\n")
    assert warm.run(text).stdout == "new\n"
    assert warm.run("import added; print(added.VALUE)").stdout == "added\n"
    assert is_forked(warm)


def test_jobs_do_not_draw_the_same_numbers(warm):
    text = "import numpy, random; print(random.random(), numpy.random.random())"
    first, second = (warm.run(text).stdout.split() for _ in range(2))
    assert not set(first) & set(second)


SPAWNS = """
import multiprocessing, os, sys
def square(number):
    return number * number, os.getppid() == int(sys.argv[1])
if __name__ == "__main__":
    sys.argv[1:] = [str(os.getpid())]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(square, [3]))
"""


def test_a_job_starts_processes(warm):
    assert warm.run(SPAWNS).stdout == "[(9, True)]\n"


def test_two_runs_do_not_meet(warm, tmp_path):
    (tmp_path / "other").mkdir()
    other = Warm(tmp_path / "other")
    try:
        assert is_forked(warm)
        assert is_forked(other)
        warm.close()
        assert is_forked(other)
    finally:
        other.close()


def test_what_a_fork_computes_is_measured(warm):
    """Snakemake's benchmark sees what a job's shell starts, and the fork."""
    client, job = warm.start(WAIT)
    seen = {process.pid for process in Shell(client.pid, warm.folder).children(recursive=True)}
    assert seen == {job.pid}
    client.kill()
    deadline = time.monotonic() + 10
    while job.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(Shell(os.getpid(), warm.folder).children()) == list(psutil.Process().children())
