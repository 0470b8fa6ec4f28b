"""Outputs as files: what `save` returned from is on the disk, and nobody else on the machine reads it."""

import os
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import FileSystemStorage

_FOLDER_MODE = 0o700
_FILE_MODE = 0o600
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


class FileOutputStorage(FileSystemStorage):
    """A folder whose files are written whole or not at all, and are durable before their name is given back."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._durable: set[Path] = set()

    def _save(self, name: str, content: "File[bytes]") -> str:
        path = Path(self.path(name))
        self._make(path.parent)
        unfinished = _unfinished(path)
        try:
            descriptor = os.open(unfinished, _NEW, _FILE_MODE)
        except FileNotFoundError:
            # The disk was brought back without the folder, or somebody tidied up.
            self._durable.discard(path.parent)
            self._make(path.parent)
            descriptor = os.open(unfinished, _NEW, _FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for chunk in content.chunks():
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        _sync(path.parent)
        return name

    def _open(self, name: str, mode: str = "rb") -> "File[bytes]":
        return ContentFile(Path(self.path(name)).read_bytes(), name)

    def delete(self, name: str) -> None:
        """With what a process that was killed has left of it."""
        super().delete(name)
        _unfinished(Path(self.path(name))).unlink(missing_ok=True)

    def _make(self, folder: Path) -> None:
        """The folder with those around it, each written down in the one that it is in; once a process."""
        if folder in self._durable:
            return
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
        root = Path(self.location)
        for outer in (folder.parent, *folder.parent.parents):
            _sync(outer)
            if outer == root.parent or not outer.is_relative_to(root):
                break
        root.chmod(_FOLDER_MODE)
        self._durable.add(folder)


def _unfinished(path: Path) -> Path:
    """The name until it is whole; of the key, so that whoever knows the key finds it too."""
    return path.with_name(f".{path.name}")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
