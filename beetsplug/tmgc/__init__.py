"""A beets plugin: ``beet tmgc [QUERY]`` classifies songs and keeps their genres in the library.

It needs the extra ``beets`` of tmgc and ``plugins: tmgc`` in the configuration of beets.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from beets import ui
from beets.plugins import BeetsPlugin

from edge_runtime.archive.results import stored_path
from edge_runtime.archive.song import Song, Tagger, TagSettings
from edge_runtime.errors import TmgcError
from edge_runtime.models import default_model
from edge_runtime.predictions import SILENCE, UNKNOWN

_LISTS = ("genres",)
_TAGS = ("genre", *_LISTS)
"""Fields that beets writes into files; all others are flexible attributes."""


class TmgcPlugin(BeetsPlugin):
    """The plugin; its settings stand under ``tmgc:``."""

    def __init__(self) -> None:
        super().__init__("tmgc")
        self.config.add(
            {
                "model": "",  # a .tflite or .onnx file; as tmgc-listen chooses by default
                "windows": 8,
                "field": "genres",  # or a flexible attribute, such as tmgc_genre
                "min_confidence": 0.8,
                "overwrite": False,
                "auto": False,  # whether an import classifies, too
            }
        )
        if self.config["auto"].get(bool):
            self.import_stages = [lambda _, task: self.classify(task.imported_items(), write=False)]

    def commands(self) -> list[Any]:
        """``tmgc``."""
        command = ui.Subcommand("tmgc", help="classify songs by genre")
        command.func = lambda library, options, query: self.classify(library.items(query), write=ui.should_write())
        return [command]

    def classify(self, items: Iterable[Any], *, write: bool) -> None:
        """Set the field of each item that has none yet.

        Parameters
        ----------
        items : iterable of Item
        write : bool
            Whether genres go into the tags of the files, too.
        """
        field = self.config["field"].as_str()
        overwrite = self.config["overwrite"].get(bool)
        tagger = self._tagger()
        for item in items:
            if item.get(field) and not overwrite:
                self._log.debug("{}: has {} already", item, field)
                continue
            path = Path(item.filepath)
            row = tagger(Song(0, stored_path(path.name), stored_path(str(path.parent)), 0, 0), lambda: None)
            if row.error is not None or row.genre is None or row.confidence is None:
                self._log.warning("{}: {}", item, row.error)
            elif row.genre in (UNKNOWN, SILENCE) or row.confidence < self.config["min_confidence"].get(float):
                self._log.info("{}: {} ({:.2f}), not kept", item, row.genre, row.confidence)
            else:
                self._log.info("{}: {} ({:.2f})", item, row.genre, row.confidence)
                item[field] = [row.genre] if field in _LISTS else row.genre
                if write and field in _TAGS:
                    item.try_write()
                item.store()

    def _tagger(self) -> Tagger:
        """What classifies songs, by the settings."""
        try:
            model = Path(self.config["model"].as_filename()) if self.config["model"].get() else default_model()
            return Tagger.of(model, TagSettings(self.config["windows"].get(int)))
        except TmgcError as error:
            raise ui.UserError(str(error)) from error
