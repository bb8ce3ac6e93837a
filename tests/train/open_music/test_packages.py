from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edge_runtime.errors import TmgcError
from tests.train.open_music.conftest import wad
from train.open_music.packages import AUDIO, download, field, need, slug, unpack, wad_music


def test_music_and_licence_are_taken_out_of_a_package_and_of_the_archives_in_it(deb: Path, tmp_path: Path) -> None:
    unpack(deb, tmp_path / "out", AUDIO)
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    game = "usr/share/games/game 1.5"
    assert found == {
        "copyright",
        f"{game}/Über den Wolken.ogg",
        f"{game}/shot.wav",
        f"{game}/stems/song.ogg",
        f"{game}/stems/guitar.ogg",
        f"{game}/data/sound/inner.ogg",
    }
    assert not list(tmp_path.rglob("outside.ogg"))


def test_a_package_tells_its_version(deb: Path) -> None:
    assert field(deb, "Version") == "1.2-3"


def test_a_damaged_package_is_named(deb: Path, tmp_path: Path) -> None:
    deb.write_bytes(deb.read_bytes()[:50_000])
    with pytest.raises(TmgcError, match=r"game-music_1.2-3_all.deb cannot be unpacked .*: download it again"):
        unpack(deb, tmp_path / "out", AUDIO)


def test_a_package_that_apt_does_not_know_is_named_with_the_reason(apt: Path, tmp_path: Path) -> None:
    with pytest.raises(TmgcError, match=r"^other cannot be downloaded \(Unable to locate package other\)"):
        download("other", tmp_path)


def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(TmgcError, match=r"no-such-program is needed and is not installed: .* apt install some-package"):
        need("no-such-program", "some-package")


def test_midi_files_are_found_in_a_wad() -> None:
    content = wad({"PLAYPAL": b"palette", "D_RUNNIN": b"MThd and so on"})
    assert list(wad_music(content)) == [("d-runnin.mid", b"MThd and so on")]


def test_the_name_of_a_midi_file_in_a_wad_is_no_path() -> None:
    assert list(wad_music(wad({"../../up": b"MThd"}))) == [("up.mid", b"MThd")]


def test_a_package_without_a_licence_is_refused(deb: Path, tmp_path: Path) -> None:
    (tmp_path / "tree/usr/share/doc/game-music/copyright").unlink()
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tmp_path / "tree", deb], check=True)
    with pytest.raises(TmgcError, match=r"music needs a licence: game-music_.* has no copyright file"):
        unpack(deb, tmp_path / "out", AUDIO)


@pytest.mark.parametrize(
    ("text", "expected"), [("Über den Wolken!", "uber-den-wolken"), ("wesnoth-1.16", "wesnoth-1-16"), ("道", "file")]
)
def test_names_are_made_of_ascii_letters_digits_and_hyphens(text: str, expected: str) -> None:
    assert slug(text) == expected
