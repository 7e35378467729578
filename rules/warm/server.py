"""The warm process of a run: loads libraries, and forks a child for each job that asks.

    python rules/warm/server.py LISTENER ALIVE FOLDER LIBRARY...

Started by Snakemake (`rules.warm.start`) with the descriptors of a listening socket and of a pipe
that closes when Snakemake ends, however it ends. It loads a library whenever nobody asks: who comes
early loads the rest on his own. It loads no module of this project: children do that, so that they
run the code as it is when they start. Forks only while it has a single thread, and only for jobs in
its own environment, but for what Snakemake sets for each; others are declined.
"""

import atexit
import contextlib
import ctypes
import gc
import hashlib
import importlib
import json
import marshal
import os
import selectors
import shutil
import signal
import socket
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from pathlib import Path
from typing import Any

PER_JOB = {
    *(f"{library}_NUM_THREADS" for library in ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")),
    *("VECLIB_MAXIMUM_THREADS", "TMPDIR", "TMP", "TEMP", "TEMPDIR"),
    *("SQUEEZED_GPUS", "SHLVL", "PWD", "OLDPWD", "_", "PS1", "PS2"),  # bash takes the last away
}
"""Variables that may differ between jobs: none of these libraries reads them when it is loaded, or
`use_threads` does what it would have done."""
PATIENCE_S = 10.0
"""How long a job that is told to end may take to."""
PR_SET_PDEATHSIG = 1
INTERRUPTED = signal.getsignal(signal.SIGINT)
"""What Ctrl-C does to a Python that Snakemake starts: nothing, where that is in the background."""


@dataclass(frozen=True)
class Request:
    """A job that a client asks for."""

    command: list[str]
    client: int
    executable: str
    folder: str
    environment: dict[str, str]
    umask: int


class Server:
    """Forks children until Snakemake has ended and they have, too."""

    def __init__(
        self, listener: socket.socket, alive: int, folder: Path, libraries: Sequence[str]
    ) -> None:
        """Serve who connects.

        Args:
            listener: a listening socket.
            alive: the reading end of a pipe whose other end only Snakemake holds.
            folder: in which a file with the name of a client's process holds that of its job.
            libraries: to load, in this order.
        """
        self.listener, self.alive, self.folder = listener, alive, folder
        self.libraries = deque(libraries)
        # Libraries set variables themselves.
        self.environment = dict(os.environ)
        self.jobs: dict[int, tuple[socket.socket, Path]] = {}
        self.killing: float | None = None
        self.woken, self.wakes = os.pipe()
        os.set_blocking(self.wakes, False)
        self.selector = selectors.DefaultSelector()
        for waited in (listener, alive, self.woken):
            self.selector.register(waited, selectors.EVENT_READ)

    def serve(self) -> tuple[Request, list[int]] | None:
        """Fork for each request.

        Returns:
            In a child, its request and its standard input, output and error; in this process
            None, at the end.
        """
        # A child that ends wakes the loop.
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.wakes, warn_on_full_buffer=False)
        while self.killing is None or self.jobs:
            asked = self.selector.select(self._patience())
            if not asked and self.libraries:
                self._load(self.libraries.popleft())
            for key, _ in asked:
                if key.fileobj is self.listener:
                    child = self._accept()
                    if child is not None:
                        return child
                elif key.fileobj == self.alive:
                    self.selector.unregister(self.alive)
                    self.killing = time.monotonic() + PATIENCE_S
                    self._tell(signal.SIGTERM, self.jobs)
                elif key.fileobj == self.woken:
                    os.read(self.woken, 4096)
                else:
                    # Its client was killed, as Snakemake does with what it gives up.
                    self.selector.unregister(key.fileobj)
                    self._tell(signal.SIGTERM, [key.data])
            self._reap()
            if self.killing is not None and time.monotonic() > self.killing:
                self._tell(signal.SIGKILL, self.jobs)
        return None

    def _patience(self) -> float | None:
        if self.killing is not None:
            return 1.0
        return 0.0 if self.libraries else None

    def _load(self, library: str) -> None:
        importlib.import_module(library)
        # What is there now is never garbage: collecting would copy its pages into each child.
        gc.freeze()

    def _accept(self) -> tuple[Request, list[int]] | None:
        connection, _ = self.listener.accept()
        try:
            connection.settimeout(PATIENCE_S)
            _, streams, _, _ = socket.recv_fds(connection, 1, 3)
            with connection.makefile("rb") as said:
                request = Request(**json.loads(said.readline()))
        except (OSError, ValueError):  # a client that was killed while it asked
            connection.close()
            return None
        job = None
        if self._fits(request):
            with contextlib.suppress(OSError):  # no memory: its own Python will say so
                job = os.fork()
        if job == 0:
            self._leave()
            connection.close()
            return request, streams
        for stream in streams:
            os.close(stream)
        if job is not None:
            note = self.folder / str(request.client)
            with contextlib.suppress(OSError):  # a full disk: it is only not measured
                note.write_text(str(job), encoding="utf-8")
            self.jobs[job] = connection, note
            self.selector.register(connection, selectors.EVENT_READ, job)
        self._answer(connection, job or 0)
        if job is None:
            connection.close()
        return None

    def _fits(self, request: Request) -> bool:
        own, theirs = (
            {name: value for name, value in environment.items() if name not in PER_JOB}
            for environment in (self.environment, request.environment)
        )
        alone = len(list(Path("/proc/self/task").iterdir())) == 1
        same = own == theirs and request.executable == sys.executable
        return alone and same and self.killing is None

    def _leave(self) -> None:
        """Let go, in a child, of what is the server's."""
        for name, value in self.environment.items():
            if os.environ.get(name) == value:
                del os.environ[name]  # each job brings its own
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, INTERRUPTED)
        self.selector.close()
        self.listener.close()
        for connection, _ in self.jobs.values():
            connection.close()
        for descriptor in (self.alive, self.woken, self.wakes):
            os.close(descriptor)

    def _reap(self) -> None:
        for job in list(self.jobs):
            ended, status = os.waitpid(job, os.WNOHANG)
            if ended:
                connection, note = self.jobs.pop(job)
                with contextlib.suppress(KeyError):  # as where its client is gone
                    self.selector.unregister(connection)
                self._answer(connection, status)
                connection.close()
                note.unlink(missing_ok=True)

    def _answer(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):  # as where its client is gone
            connection.sendall(f"{number}\n".encode())

    def _tell(self, number: signal.Signals, jobs: Iterable[int]) -> None:
        for job in list(jobs):
            os.kill(job, number)


def become(request: Request, streams: list[int], bytecode: Path) -> dict[str, Any]:
    """Make a child what a Python of its own would be that was started with the request's command.

    Args:
        request: what it was asked for.
        streams: its standard input, output and error.
        bytecode: a folder for compiled modules, where they may not lie beside their sources.

    Returns:
        The namespace of its `__main__`.
    """
    server = os.getppid()
    # It does not outlive the server, which would tell it to end.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != server:
        sys.exit(1)
    for descriptor, stream in enumerate(streams):
        os.dup2(stream, descriptor)
        os.close(stream)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    os.chdir(request.folder)
    os.umask(request.umask)
    if sys.dont_write_bytecode:
        share_code(bytecode)
    # What libraries set when they were loaded stays.
    for name, value in request.environment.items():
        os.environ.setdefault(name, value)
    script, *_ = sys.argv = request.command
    sys.path.insert(0, str(Path(script).resolve().parent))
    importlib.invalidate_caches()
    use_threads(int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # Python's own generator is seeded anew after a fork
    main = types.ModuleType("__main__")
    main.__file__ = str(Path(script).absolute())
    sys.modules["__main__"] = main
    return main.__dict__


def share_code(folder: Path) -> None:
    """Compile modules once for all jobs, where none may be written beside its source.

    Containers often ask for that (`PYTHONDONTWRITEBYTECODE`), and each job would compile the
    project anew. What is compiled is kept by its text, so it is never another's.
    """

    class Loader(SourceFileLoader):
        def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> types.CodeType:
            named = hashlib.sha256(os.fsencode(path) + b"\0" + bytes(data)).hexdigest()
            kept = folder / named
            with contextlib.suppress(OSError, EOFError, ValueError, TypeError):
                code: types.CodeType = marshal.loads(kept.read_bytes())
                return code
            code = super().source_to_code(data, path, _optimize=_optimize)
            with contextlib.suppress(OSError):  # a full disk
                folder.mkdir(exist_ok=True)
                unfinished = folder / f"{named}.{os.getpid()}"
                unfinished.write_bytes(marshal.dumps(code))
                unfinished.rename(kept)
            return code

    loaders = (
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (Loader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )
    sys.path_hooks.insert(0, FileFinder.path_hook(*loaders))
    sys.path_importer_cache.clear()


def use_threads(threads: int) -> None:
    """Give the libraries the threads that they would have read from their environment."""
    import threadpoolctl

    threadpoolctl.threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def main() -> tuple[Request, list[int]] | None:
    """Load and serve."""
    listener, alive, folder, *libraries = sys.argv[1:]
    del sys.path[0]  # this file's folder
    # A terminal's Ctrl-C is for the jobs; Snakemake's end is this process's.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listening = socket.socket(fileno=int(listener))
    child = Server(listening, int(alive), Path(folder), libraries).serve()
    if child is None:
        shutil.rmtree(folder, ignore_errors=True)
    return child


def end(error: BaseException | None) -> None:
    """End a child as its script did, without tearing down what the server had loaded.

    That takes a second, and bindings report at length what was never theirs to free. All else that
    the interpreter does comes first, as in the standard library's own forks (`multiprocessing`).
    """
    status = 1
    if error is None:
        status = 0
    elif not isinstance(error, SystemExit):
        assert error.__traceback__ is not None
        error.__traceback__ = error.__traceback__.tb_next  # that of the script alone
        sys.excepthook(type(error), error, error.__traceback__)
    elif error.code is None or isinstance(error.code, int):
        status = error.code or 0
    else:
        print(error.code, file=sys.stderr)
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a full disk, or closed
            stream.flush()
    ctypes.CDLL(None).fflush(None)
    if isinstance(error, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status & 0xFF)


if __name__ == "__main__":
    asked = main()
    if asked is not None:
        namespace = become(*asked, bytecode=Path(sys.argv[3]) / "bytecode")
        source = Path(namespace["__file__"])
        raised: BaseException | None = None
        try:
            exec(compile(source.read_bytes(), source, "exec"), namespace)
        except BaseException as error:
            raised = error
        end(raised)
