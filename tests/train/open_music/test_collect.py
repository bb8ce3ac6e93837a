from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest

from tests.train.open_music.test_sound import SILENT
from train.open_music.accompaniment import Mma
from train.open_music.collect import MANIFEST, SYNTHESISED, collect_packages, synthesise_pieces
from train.open_music.pieces import Studio
from train.open_music.programs import Program
from train.open_music.sound import Synth
from train.open_music.styles import FAMILIES
from train.progress import Reporter


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / MANIFEST).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_packages_are_collected_with_their_licence_and_listed(apt: Path, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    collect_packages(folder, ["game-music", "other"], SILENT, Reporter())
    names = {path.name for path in (folder / "game-music").iterdir()}
    assert names == {
        "copyright",
        "version",
        "game-music-inner.ogg",
        "game-music-stems.ogg",
        "game-music-uber-den-wolken.ogg",
    }
    assert rows(folder) == [
        {
            "package": "game-music",
            "version": "1.2-3",
            "licence": "game-music/copyright",
            "files": "3",
            "seconds": "66.0",
        },
        {"package": "other", "version": "", "licence": "", "files": "0", "seconds": "0.0"},
    ]


def test_a_package_that_is_left_out_is_a_warning(apt: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    collect_packages(tmp_path / "music", ["other"], SILENT, Reporter())
    assert "other is left out: other cannot be downloaded (Unable to locate package other)" in caplog.text


def test_the_next_call_goes_on_with_what_is_missing(apt: Path, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    collect_packages(folder, ["game-music"], SILENT, Reporter())
    (folder / ".part-interrupted").mkdir()
    collect_packages(folder, ["game-music"], SILENT, Reporter())
    assert (apt / "asked").read_text(encoding="utf-8") == "game-music\n"
    assert not (folder / ".part-interrupted").exists()
    assert [row["files"] for row in rows(folder)] == ["3"]


def test_music_of_an_earlier_call_stays_listed_with_its_licence(apt: Path, tmp_path: Path) -> None:
    folder = tmp_path / "music"
    collect_packages(folder, ["game-music"], SILENT, Reporter())
    collect_packages(folder, ["other"], SILENT, Reporter())
    assert [row["licence"] for row in rows(folder)] == ["game-music/copyright", ""]


NOISE = Synth(Program(("sh", "-c", "head -c 400000 /dev/urandom")), Path("noise.sf2"))
"""Plays two seconds of noise, whatever it is to play."""


def test_a_piece_that_cannot_be_made_is_a_warning_and_the_others_are_made(
    mma: Mma, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plays = "import sys; open(sys.argv[sys.argv.index('-f') + 1], 'wb').write(b'MThd')"
    mma.program.write_text(f"{plays}", encoding="ascii")
    source = synthesise_pieces(tmp_path, 1, Studio(mma, (NOISE,), Program(("false",)), "GPL"), Reporter())
    names = {path.stem for path in (tmp_path / SYNTHESISED).glob("*.ogg")}
    assert "jazz-000" in names, "it has no voice"
    assert len(names) == source.files < len(FAMILIES)
    for family in {f"{family}-000" for family in FAMILIES} - names:
        assert f"piece 0 of {family.removesuffix('-000')} is left out: false failed" in caplog.text


def test_a_program_that_makes_no_piece_ends_nothing(mma: Mma, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = synthesise_pieces(tmp_path, 1, Studio(mma, (NOISE,), Program(("false",)), "GPL"), Reporter())
    assert source.files == 0
    assert "piece 0 of jazz is left out: MMA cannot play" in caplog.text
    assert caplog.text.count("is left out") == len(FAMILIES)


@pytest.mark.full
def test_the_real_apt_provides_music_and_the_programs_that_pieces_need(tmp_path: Path) -> None:
    from edge_runtime.errors import TmgcError
    from train.open_music.collect import collect_open_music
    from train.open_music.packages import download

    if shutil.which("apt-get") is None:
        pytest.skip("apt-get is not installed")
    try:
        download("fb-music-high", tmp_path)
    except TmgcError as error:
        pytest.skip(str(error))
    sources = collect_open_music(tmp_path / "music", packages=["fb-music-high"], pieces=1)
    assert [source.package for source in sources] == ["fb-music-high", SYNTHESISED]
    assert sources[0].files == 1
    assert sources[1].files == len(FAMILIES)
    assert "GPL" in (tmp_path / "music" / SYNTHESISED / "copyright").read_text(encoding="utf-8")
