"""Archives unpacked into a folder that appears whole or not at all."""

import shutil
import tempfile
from pathlib import Path

from squeezed.data.image_trees import ImageTree
from squeezed.foundation.progress import track


def extract(tree: ImageTree, folder: Path) -> Path:
    """Unpack an archive's files into `folder`, unless it is there already; return `folder`.

    Raises:
        UserError: if the archive is damaged, or a path in it leads out of it.
        OSError: if the disk is full.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    unpacked = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, read in track(tree.entries(), f"unpacking {tree.path.name}"):
            target = unpacked / name
            if name.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(read())
        unpacked.chmod(0o755)  # mkdtemp makes folders private to their owner
        unpacked.rename(folder)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    return folder
