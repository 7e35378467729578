"""Small sources of images in the official formats, made by the tests that need them."""

import contextlib
import hashlib
import http.server
import io
import pickle
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import yaml
from PIL import Image
from scipy.io import savemat

from squeezed.configuration.completion import complete_configuration, load_schema
from tests import PROJECT

CIFAR10_NAMES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]  # in the official order


def dataset_settings(**section):
    """A data set's section of the configuration, completed by the schema."""
    configuration = yaml.safe_load((PROJECT / "config.yaml").read_text())
    configuration["datasets"]["digits"] = section
    schema = load_schema(PROJECT / "config.schema.yaml")
    return complete_configuration(configuration, schema)["datasets"]["digits"]


def image_bytes(seed=0, size=(8, 8), mode="RGB", kind="PNG"):
    """A random image as the bytes of a file; `size` is (height, width)."""
    generator = np.random.default_rng(seed)
    channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
    pixels = generator.integers(0, 256, (*size, *channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, kind)
    return file.getvalue()


def class_files(
    classes=("cat", "dog"), train=4, test=2, test_name="test", top="", size=(8, 8)
) -> dict[str, bytes]:
    """`train/<class>/<n>.png` and so on, by path."""
    files = {}
    for label, name in enumerate(classes):
        for split, count in (("train", train), (test_name, test)):
            for number in range(count):
                seed = 1000 * label + 10 * number + (split == "train")
                files[f"{top}{split}/{name}/{number}.png"] = image_bytes(seed, size)
    return files


def write_folder(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, files: Mapping[str, bytes], mode="w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def cifar10_batches(images_each=4, seed=0) -> dict[str, dict]:
    """The official batches, smaller: keys are bytes, as Python 2 wrote them."""
    generator = np.random.default_rng(seed)
    batches = {}
    for name in [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]:
        batches[name] = {
            b"batch_label": name.encode(),
            b"labels": [int(i) % 2 for i in range(images_each)],
            b"data": generator.integers(0, 256, (images_each, 3072), dtype=np.uint8),
            b"filenames": [f"{i}.png".encode() for i in range(images_each)],
        }
    batches["batches.meta"] = {
        b"num_cases_per_batch": images_each,
        b"label_names": [name.encode() for name in CIFAR10_NAMES],
    }
    return batches


class _Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, which the official batches are made of."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012 (as its base class has it)

    def save_bytes(self, content):
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(content)

    dispatch[bytes] = save_bytes


def dumps_as_python2(content) -> bytes:
    file = io.BytesIO()
    _Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue()


def write_cifar10(path: Path, batches=None) -> Path:
    """An archive like cifar-10-python.tar.gz."""
    batches = batches or cifar10_batches()
    files = {
        f"cifar-10-batches-py/{name}": content
        if isinstance(content, bytes)
        else dumps_as_python2(content)
        for name, content in batches.items()
    }
    return write_tar(path, files, "w:gz")


def write_svhn(path: Path, labels=(10, 1, 10, 1, 2, 2), seed=0) -> np.ndarray:
    """A file like train_32x32.mat; returns its images, (32, 32, 3, n)."""
    images = np.random.default_rng(seed).integers(0, 256, (32, 32, 3, len(labels)), dtype=np.uint8)
    savemat(path, {"X": images, "y": np.array(labels, np.uint8)[:, None]}, do_compression=True)
    return images


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files with ranges; can end a connection early."""

    def do_GET(self):
        server: Server = self.server  # type: ignore[assignment]
        path = server.folder / self.path.lstrip("/")
        server.requests.append((self.path, self.headers.get("Range")))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(server.claimed_size or len(content) - start))
        self.end_headers()
        rest = content[start:]
        if server.break_after is not None:
            rest = rest[: server.break_after]
            server.break_after = None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(rest)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    folder: Path
    requests: list
    break_after: int | None = None
    claimed_size: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve `folder` from localhost."""
    server = Server(("127.0.0.1", 0), _Handler)
    server.folder, server.requests = folder, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
