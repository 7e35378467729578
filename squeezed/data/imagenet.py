"""ILSVRC2012 as its organisers pack it: class folders, or a flat validation folder and a devkit."""

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from squeezed.data.downloads import check_md5
from squeezed.data.image_files import EXTENSIONS
from squeezed.data.image_trees import Entry, ImageTree
from squeezed.foundation.errors import UserError, first_line

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
META = "data/meta.mat"
GROUND_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


class FlatValidationTree:
    """An image tree whose flat `val` folder, if it has one, looks like class folders.

    See `squeezed.data.image_trees.ImageTree`.
    """

    def __init__(self, tree: ImageTree, devkit_md5: str | None) -> None:
        """Look at `tree`: `train/<wnid>/`, `val/` and, if `val` is flat, the devkit beside them.

        Args:
            tree: as the user has it.
            devkit_md5: of the devkit; None takes any.

        Raises:
            UserError: if `val` is flat and the devkit is missing, damaged, or fits another set.
        """
        self.path = tree.path
        self.tree = tree
        self._real = _class_folders(tree.path, devkit_md5)
        self._shown = {real: shown for shown, real in self._real.items()}

    def entries(self) -> Iterator[Entry]:
        """Yield each file and folder, images of a flat `val` as `val/<wnid>/<name>`."""
        for name, read in self.tree.entries():
            yield self._shown.get(name, name), read

    def real(self, name: str) -> str:
        """Return where a file is below `path`."""
        return self._real.get(name, name)


def _class_folders(root: Path, devkit_md5: str | None) -> dict[str, str]:
    """Return `val/<wnid>/<name>` → `val/<name>`; empty if `val` has class folders already."""
    folder = root / "val"
    if not folder.is_dir():
        return {}
    images = sorted(
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() in EXTENSIONS and path.is_file() and not path.name.startswith(".")
    )
    if not images:
        return {}
    devkit = root / DEVKIT
    if not devkit.is_file():
        raise UserError(f"{folder} has no class folders, so {devkit} is needed to know the classes")
    check_md5(devkit, devkit_md5)
    wnids = read_devkit(devkit)
    if len(wnids) != len(images):
        raise UserError(
            f"{folder} holds {len(images)} images, but {DEVKIT} knows the classes of {len(wnids)}"
        )
    # The devkit's n-th line is the n-th image by name.
    return {f"val/{wnid}/{name}": f"val/{name}" for name, wnid in zip(images, wnids, strict=True)}


def read_devkit(archive: Path) -> list[str]:
    """Return the class (wnid) of each official validation image, in the order of their names.

    Reads what `torchvision.datasets.imagenet.parse_devkit_archive` reads, without writing a file
    into the user's folder as that does.

    Raises:
        UserError: if the archive is truncated or not the devkit.
    """
    from scipy.io import loadmat  # takes a second to import

    contents = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                for wanted in (META, GROUND_TRUTH):
                    if member.name.endswith(wanted) and (file := tar.extractfile(member)):
                        contents[wanted] = file.read()
        synsets = loadmat(io.BytesIO(contents[META]), squeeze_me=True)["synsets"]
        wnid_of = {
            int(synset["ILSVRC2012_ID"]): str(synset["WNID"])
            for synset in synsets
            if int(synset["num_children"]) == 0
        }
        return [wnid_of[int(line)] for line in contents[GROUND_TRUTH].decode().split()]
    except (tarfile.TarError, EOFError, zlib.error, OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{archive} is damaged or not ILSVRC2012's devkit ({first_line(error)})"
        ) from error
