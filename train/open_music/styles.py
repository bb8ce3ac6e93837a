"""Families of styles: which accompaniments of MMA, harmonies, instruments and voices go together."""

from __future__ import annotations

from dataclasses import dataclass

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
_MAJOR_PENTATONIC = (0, 2, 4, 7, 9)
_MINOR_PENTATONIC = (0, 3, 5, 7, 10)
_MINOR_BLUES = (0, 3, 5, 6, 7, 10)

_EIGHTHS = "{1 8 90 * 8}"
_HALVES = "{1 2 80; 3 2 80}"
_OFF_BEATS = "{1.5 8 80; 2.5 8 80; 3.5 8 80; 4.5 8 80}"
_STRUMMED = "{1 4 90; 2 8 100; 2.5 8 80; 3 8 70; 3.5 8 90; 4 8 100; 4.5 8 80}"
_CHUGGING = (
    "{1 16 110; 1.5 16 100; 1.75 16 100; 2 8 110; 2.5 16 100; 2.75 16 100; "
    "3 16 110; 3.5 16 100; 3.75 16 100; 4 8 110; 4.5 8 110}"
)


@dataclass(frozen=True)
class Family:
    """Styles that share harmony, instruments and a kind of voice."""

    styles: tuple[str, ...]
    """Files of MMA's library."""
    progressions: tuple[str, ...]
    """Chords, one a bar, relative to C."""
    leads: tuple[str, ...]
    """Instruments of the melody, General MIDI as MMA names them."""
    tempo: tuple[int, int]
    """Slowest and fastest, beats a minute."""
    rhythm: str
    """Instrument that plays the chords besides."""
    pattern: str
    """Its rhythm as MMA writes it: beat, length and volume."""
    voice: str = ""
    """``rap``, ``song``, or empty for none."""
    scale: tuple[int, ...] = _MAJOR_PENTATONIC
    """Semitones of the melody above the key."""
    drive_db: float = 0.0
    """Gain of the guitar amplifier that rhythm and melody are played through; 0 is none."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FAMILIES = {
    "hip-hop": Family(
        styles=_words("alexis/hiphop zoom/hiphop casio/hip-hop zoom/trip casio/triphop casio/modernrb"),
        progressions=(
            "Cm7 Cm7 Fm7 Cm7",
            "Am7 Am7 Dm7 Em7",
            "Cm Ab Bb Cm",
            "Cm7 Fm7 Cm7 Gm7",
            "Am F Am E",
        ),
        leads=_words("EPiano SynthBass1 Strings Piano1 Vibraphone"),
        tempo=(78, 104),
        voice="rap",
        rhythm="EPiano",
        pattern=_HALVES,
        scale=_MINOR_PENTATONIC,
    ),
    "metal": Family(
        styles=_words("casio/heavymetal pflib/metal1 pflib/metal2 zoom/mtl zoom/thr zoom/hrk"),
        progressions=(
            "C5 C5 Db5 Eb5",
            "C5 Eb5 F5 Gb5",
            "C5 Ab5 Bb5 C5",
            "C5 C5 Bb5 Ab5",
            "C5 Db5 C5 Bb5",
        ),
        leads=_words("CleanGuitar"),
        tempo=(110, 190),
        voice="song",
        rhythm="CleanGuitar",
        pattern=_CHUGGING,
        scale=_MINOR_BLUES,
        drive_db=40.0,
    ),
    "punk": Family(
        styles=_words("zoom/punk casio/rock1 zoom/rock"),
        progressions=(
            "C5 Bb5 F5 C5",
            "C5 F5 G5 F5",
            "C5 Eb5 F5 G5",
            "A5 G5 F5 G5",
            "C5 Bb5 F5 C5",
            "A5 C5 D5 F5",
        ),
        leads=_words("CleanGuitar"),
        tempo=(150, 200),
        voice="song",
        rhythm="CleanGuitar",
        pattern=_EIGHTHS,
        drive_db=30.0,
    ),
    "rock": Family(
        styles=_words(
            "zoom/rock casio/rock1 casio/rock2 casio/shufflerock pflib/rock1 pflib/highfive stdlib/basicrock "
            "stdlib/60srock stdlib/folkrock casio/poprock1 casio/poprock2 kara/K50s_rock"
        ),
        progressions=(
            "C5 Bb5 F5 C5",
            "C5 F5 G5 F5",
            "C5 Eb5 F5 G5",
            "A5 G5 F5 G5",
            "C5 Bb5 F5 C5",
            "A5 C5 D5 F5",
        ),
        leads=_words("CleanGuitar JazzGuitar"),
        tempo=(100, 150),
        voice="song",
        rhythm="CleanGuitar",
        pattern=_EIGHTHS,
        scale=_MINOR_PENTATONIC,
        drive_db=22.0,
    ),
    "pop": Family(
        styles=_words(
            "casio/80spop casio/60spop casio/pop casio/electricpop casio/dancepop1 casio/dancepop2 "
            "casio/dancepop3 casio/16beat1 casio/16beat2 casio/8beatpop1 casio/8beatpop2 casio/worldpop "
            "stdlib/popballad casio/popballad zoom/pop casio/16beatballad1"
        ),
        progressions=(
            "C G Am F",
            "Am F C G",
            "C Am F G",
            "F G Em Am",
            "C Em F G",
            "Dm7 G7 CM7 Am7",
            "C F Am G",
        ),
        leads=_words("Piano1 NylonGuitar Strings SynthBrass1 CleanGuitar"),
        tempo=(84, 124),
        voice="song",
        rhythm="SteelGuitar",
        pattern=_STRUMMED,
    ),
    "dance": Family(
        styles=_words(
            "stdlib/boneym casio/discosoul casio/dance1 casio/dance2 casio/8beatdance zoom/dance zoom/house casio/house"
        ),
        progressions=(
            "C G Am F",
            "Am F C G",
            "C Am F G",
            "F G Em Am",
            "C Em F G",
            "Dm7 G7 CM7 Am7",
            "C F Am G",
        ),
        leads=_words("Strings SynthBrass1 EPiano"),
        tempo=(112, 130),
        voice="song",
        rhythm="SynthBrass1",
        pattern=_OFF_BEATS,
    ),
    "soul": Family(
        styles=_words(
            "casio/soul casio/soulpop casio/60ssoul casio/mellowrb casio/r+b zoom/rnb stdlib/rb stdlib/rb-ballad "
            "stdlib/dsoul casio/funk1 casio/funk2 kara/Kfunk1 kara/8beatmotown stdlib/bvfunk zoom/funk"
        ),
        progressions=(
            "Am7 D7 GM7 CM7",
            "Dm7 G7 Em7 Am7",
            "CM7 Am7 Dm7 G7",
            "Fm7 Bb7 Cm7 Cm7",
        ),
        leads=_words("TenorSax EPiano Organ1 JazzGuitar"),
        tempo=(72, 112),
        voice="song",
        rhythm="EPiano",
        pattern=_HALVES,
        scale=_MINOR_PENTATONIC,
    ),
    "blues": Family(
        styles=_words(
            "stdlib/blues stdlib/fastblues stdlib/slowblues stdlib/countryblues stdlib/boggiewoggie "
            "stdlib/shuffleboggie casio/blues casio/shuffleboogie zoom/blues stdlib/bluefolk"
        ),
        progressions=(
            "C7 F7 C7 C7 F7 F7 C7 C7 G7 F7 C7 G7",
            "C7 C7 C7 C7 F7 F7 C7 A7 Dm7 G7 C7 G7",
        ),
        leads=_words("Harmonica JazzGuitar OverDriveGuitar Piano1 TenorSax"),
        tempo=(72, 132),
        voice="song",
        rhythm="CleanGuitar",
        pattern=_STRUMMED,
        scale=_MINOR_BLUES,
    ),
    "country": Family(
        styles=_words(
            "stdlib/hillcountry stdlib/countryswing stdlib/bluegrass stdlib/westernswing stdlib/slowcountry "
            "zoom/country zoom/cntry yamaha/western kara/kwestballad stdlib/folkballad"
        ),
        progressions=(
            "C C F C G G C C",
            "C F C G C F G C",
            "C Am F G",
            "G C G D G C D G",
        ),
        leads=_words("Fiddle Banjo SteelGuitar Harmonica CleanGuitar"),
        tempo=(90, 150),
        voice="song",
        rhythm="SteelGuitar",
        pattern=_STRUMMED,
    ),
    "folk": Family(
        styles=_words(
            "stdlib/folk stdlib/folkballad stdlib/guitarballad stdlib/folkyjazz stdlib/lullaby stdlib/polka "
            "stdlib/hymn stdlib/spiritual"
        ),
        progressions=(
            "C F C G",
            "Am G Am E",
            "Dm C Dm A7",
            "C G F C",
            "Am Dm E7 Am",
        ),
        leads=_words("NylonGuitar SteelGuitar Flute Accordion Fiddle Recorder"),
        tempo=(76, 124),
        voice="song",
        rhythm="SteelGuitar",
        pattern=_STRUMMED,
    ),
    "reggae": Family(
        styles=_words("zoom/reggae zoom/ska stdlib/ska stdlib/calypso"),
        progressions=(
            "C F C G",
            "Am Dm Am Em",
            "C G Am F",
        ),
        leads=_words("Organ1 CleanGuitar Trombone"),
        tempo=(70, 120),
        voice="song",
        rhythm="CleanGuitar",
        pattern=_OFF_BEATS,
    ),
    "jazz": Family(
        styles=_words(
            "stdlib/swing stdlib/bebop stdlib/modernjazz stdlib/jazzguitar stdlib/gypsyjazz stdlib/mellowjazz "
            "stdlib/bossanova yamaha/jazztrio yamaha/jazzswing zoom/jazz casio/swing stdlib/dixie stdlib/ragtime "
            "casio/middlebigband"
        ),
        progressions=(
            "Dm7 G7 CM7 A7",
            "CM7 A7 Dm7 G7",
            "Am7 D7 GM7 CM7 FM7 Bm7b5 E7 Am7",
        ),
        leads=_words("TenorSax Trumpet JazzGuitar Vibraphone Clarinet Piano1"),
        tempo=(90, 190),
        rhythm="Piano1",
        pattern=_HALVES,
        scale=_MAJOR,
    ),
}
"""By name."""
