"""Freely licensed music for a pretraining, collected from packages of Debian and Ubuntu.

Games bring hours of music along. It is nearly all instrumental, and much of it electronic, so that pieces with drums,
guitars and voices are synthesised besides: the accompaniments of MMA (Musical MIDI Accompaniment), played by FluidSynth
with a General MIDI sound font, with voices of eSpeak NG. Nothing is installed, and no right of an administrator is
needed: packages are downloaded and unpacked into a folder.
"""

MUSIC = (
    "wesnoth-1.16-music", "warzone2100-music", "ufoai-music", "nexuiz-music", "fretsonfire-songs-muldjord",
    "fretsonfire-songs-sectoid", "planetblupi-music-ogg", "hedgewars-data", "singularity-music", "drascula-music",
    "hyperrogue-music", "asc-music", "frozen-bubble-data", "fb-music-high", "lincity-ng-data", "supertuxkart-data",
    "supertux-data", "naev-data", "redeclipse-data", "megaglest-data", "openarena-data", "openarena-085-data",
    "openarena-088-data", "extremetuxracer-data", "unknown-horizons", "lugaru-data", "trigger-rally-data", "torcs-data",
    "colobot-common-sounds", "boswars-data", "fillets-ng-data", "openclonk-data", "warmux-data", "glob2-data",
    "freedroidrpg-data", "pink-pony-data", "zaz-data", "tomatoes-data", "pekka-kana-2-data", "marsshooter-data",
    "freedink-data", "pushover-data", "tecnoballz-data", "titanion-data", "torus-trooper-data", "gunroar-data",
    "parsec47-data", "noiz2sa-data", "tumiki-fighters-data", "mu-cade-data", "rrootage-data", "val-and-rick-data",
    "a7xpg-data", "starfighter-data", "enigma-data", "berusky2-data", "gigalomania-data", "abe-data", "ri-li-data",
    "scorched3d-data", "pathological", "pachi-data", "ironseed-data", "raincat-data", "gamine-data", "phlipple-data",
    "orbital-eunuchs-sniper-data", "pax-britannica-data", "performous", "ardentryst", "amoebax-data", "btanks-data",
    "bomberclone-data", "brainparty-data", "endless-sky-data", "funnyboat", "gltron", "hex-a-hop-data",
    "lordsawar-data", "open-invaders-data", "pingus-data", "powermanga-data", "rafkill-data", "solarwolf",
    "tuxmath-data", "widelands-data", "wordwarvi-sound", "xmoto-data", "cube2-data", "freeciv-data", "freedoom",
    "freedm", "openttd-openmsx", "simutrans-data", "0ad-data",
)  # fmt: skip
"""Packages of section main, which holds only what the Debian Free Software Guidelines allow, that bring music along."""

SHORTEST_SECONDS = 20.0
"""Shorter files of these packages are sounds of a game."""
