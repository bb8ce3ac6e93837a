"""Files with the same sound: exact copies, and the same recording under another name, level, format or bit rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from train.preparing.cutting import CutSong
from train.preparing.grouping import tie
from train.preparing.same_sound import same_recordings
from train.preparing.songs import Song


@dataclass(frozen=True)
class Duplicates:
    """Songs that are the same, by their index in the list of songs."""

    songs: Sequence[Song]
    cut: Sequence[CutSong]
    pairs: list[tuple[int, int]]
    """Enough of the pairs to tell by."""
    sets: list[list[int]]
    """Of two songs and more."""

    @classmethod
    def among(cls, songs: Sequence[Song], cut: Sequence[CutSong]) -> Duplicates:
        """Find them.

        Parameters
        ----------
        songs : sequence of Song
        cut : sequence of CutSong [length=len(songs)]
        """
        first: dict[str, int] = {}
        pairs = [(first.setdefault(song.sha256, index), index) for index, song in enumerate(cut)]
        distinct = list(first.values())
        recordings = same_recordings([[clip.fingerprint for clip in cut[index].clips] for index in distinct])
        pairs = [pair for pair in pairs if pair[0] != pair[1]]
        pairs += [(distinct[one], distinct[other]) for one, other in recordings]
        sets = tie(len(cut), (), pairs)
        return cls(songs, cut, pairs, [found for found in sets if len(found) > 1])

    def rows(self, splits: Mapping[int, str]) -> list[tuple[object, ...]]:
        """``duplicates.csv``: a row for each song that has a double, those of one sound under one number."""
        rows: list[tuple[object, ...]] = [("sound", "song", "genre", "split", "same")]
        for number, found in enumerate(self.sets, start=1):
            copies = Counter(self.cut[index].sha256 for index in found)
            for index in found:
                same = "exact copy" if copies[self.cut[index].sha256] > 1 else "same recording"
                rows.append((number, self.songs[index].below, self.songs[index].genre, splits[index], same))
        return rows

    def notes(self) -> list[str]:
        """What to tell a person of them."""
        if not self.sets:
            return []
        doubles = sum(len(found) for found in self.sets)
        notes = [f"{doubles} songs sound the same as another, and stay on its side of the split: duplicates.csv"]
        for found in self.sets:
            if len({self.songs[index].genre for index in found}) > 1:
                names = ", ".join(self.songs[index].below for index in found[:_NAMED])
                more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
                notes.append(f"the same sound stands under two genres: {names}{more}")
        return (
            notes if len(notes) <= 1 + _NAMED else [*notes[: 1 + _NAMED], f"and {len(notes) - 1 - _NAMED} more sounds"]
        )


_NAMED = 5
"""Names that fit on a screen."""
