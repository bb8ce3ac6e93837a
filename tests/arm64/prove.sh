#!/usr/bin/env bash
# Checks that the base and the extras onnx and openvino work on 64-bit ARM without such a machine: Debian for arm64,
# emulated by QEMU, must give the same predictions as x86-64 from the same wheel, compute the golden windows of each model,
# and choose an engine. It checks function; its speed means nothing.
#
#   tests/arm64/prove.sh MODEL...     default: the small model of the package, and the newest int8 .tflite under ./runs
#
# The .onnx file beside a .tflite file is taken, too, and the engines of both race.
#
# CPU times under emulation compare the models with each other: QEMU as Debian builds it cannot count instructions.
#
# Needs root, Linux on x86-64, and: apt-get install debootstrap qemu-user-static binfmt-support
#   SUITES      bookworm (Python 3.11), trixie (Python 3.13) or both. Default: bookworm
#   BOARDS      processors to emulate. Default: cortex-a53 (Zero 2 W), cortex-a72 (Pi 4) and
#               cortex-a76 (Pi 5)
#   RECORDING   the sound to classify. Default: one of TMGC_MUSIC, else a synthesised song
#   ARM64_CACHE cache, 1 GB. Default: .cache/arm64
#   REPORT      file of the result. Default: tests/arm64/report.json
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/arm64
suites=${SUITES:-bookworm}
boards=${BOARDS:-cortex-a53 cortex-a72 cortex-a76}
report=${REPORT:-$here/report.json}
python=${PYTHON:-python3}
cache=${ARM64_CACHE:-.cache/arm64}
declare -A version=([bookworm]=3.11 [trixie]=3.13)
declare -A part=([cortex-a53]=0xd03 [cortex-a72]=0xd08 [cortex-a76]=0xd0b)
# Tags that bookworm's C library (2.36) supports; for a foreign platform, pip knows only the tags it is given.
platforms=(--platform=manylinux2014_aarch64 $(printf -- '--platform=manylinux_2_%d_aarch64 ' {17..36}))

refuse() { echo "error: $1" >&2 && exit 2; }

check_machine() {
    [ "$(id -u)" = 0 ] || refuse "a root file system can be made by root alone: sudo make arm64"
    local program
    for program in debootstrap qemu-aarch64-static update-binfmts; do
        command -v "$program" >/dev/null ||
            refuse "$program is needed: apt-get install debootstrap qemu-user-static binfmt-support"
    done
    mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
}

newest_int8() { find runs -path '*/exports/*.int8.tflite' -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2-; }

a_recording() {
    local found
    found=$(find "${TMGC_MUSIC:-../shared/music}/recordings/" -name '*.wav' 2>/dev/null | sort | head -n 1)
    if [ -z "$found" ]; then
        found=$cache/songs/Halk/halk_000.flac
        [ -e "$found" ] || "$cache/x86_64/bin/tmgc-train" demo-corpus "$cache/songs" --songs 1 >&2
    fi
    echo "$found"
}

# The wheel that a user installs, and those of its dependencies for one suite's Python on arm64.
collect_wheels() {
    local suite
    wheel=$(make --silent wheel PYTHON="$python" | tail -n 1)
    for suite in $suites; do
        "$python" -m pip download --quiet --dest "$cache/$suite-wheels" --only-binary=:all: \
            --python-version "${version[$suite]}" "${platforms[@]}" "$wheel[onnx,openvino]"
        cp "$wheel" "$cache/$suite-wheels/" # pip keeps an older one of the same version
    done
}

install_here() {
    [ -e "$cache/x86_64/bin/pip" ] || "$python" -m venv "$cache/x86_64"
    "$cache/x86_64/bin/pip" install --quiet "$wheel[onnx,openvino]"
    "$cache/x86_64/bin/pip" install --quiet --no-deps --force-reinstall "$wheel"
}

make_root() { # suite
    [ -e "$cache/$1/etc/debian_version" ] && return
    echo "making Debian $1 for arm64 in $cache/$1: some minutes, once ..." >&2
    rm -rf --one-file-system "$cache/$1.part"
    debootstrap --arch=arm64 --variant=minbase --include=python3,python3-venv,libportaudio2 \
        "$1" "$cache/$1.part" >"$cache/$1.log" 2>&1 || refuse "debootstrap failed: see $cache/$1.log"
    mv "$cache/$1.part" "$cache/$1"
}

# /proc/cpuinfo of a board. QEMU shows the host's instead, which makes the interpreter fail.
write_cpuinfo() { # board
    local number
    for ((number = 0; number < $(nproc --all); number++)); do
        printf 'processor\t: %d\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: %s\n\n' "$number" "${part[$1]}"
    done >"$cache/cpuinfo"
}

# Runs a command in the root of a suite; its mounts end with it.
inside() { # suite command...
    local suite=$1 && shift
    # shellcheck disable=SC2016
    unshare --mount bash -euc 'root=$1 && shift
        mkdir -p "$root/wheels" "$root/files"
        mount -t proc proc "$root/proc"
        mount -t sysfs sys "$root/sys"
        mount --bind "$cpuinfo" "$root/proc/cpuinfo"
        mount --bind "$root-wheels" "$root/wheels"
        mount --bind "$root-files" "$root/files"
        exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root XDG_CACHE_HOME="/tmp/$QEMU_CPU" \
            LANG=C.UTF-8 QEMU_CPU="$QEMU_CPU" "$@"' \
        inside "$cache/$suite" "$@"
}

install_inside() { # suite
    [ -e "$cache/$1/opt/tmgc/bin/pip" ] || inside "$1" python3 -m venv /opt/tmgc
    inside "$1" /opt/tmgc/bin/pip install --quiet --no-index --find-links /wheels 'tmgc[onnx,openvino]'
    inside "$1" /opt/tmgc/bin/pip install --quiet --no-index --no-deps --force-reinstall "/wheels/$(basename "$wheel")"
}

# Versions and predictions of a machine: a folder of JSON for compare.py.
predict() { # machine python-folder files-folder command...
    local machine=$1 binaries=$2 files=$3 into=$cache/predictions/$1 model name engine && shift 3
    mkdir -p "$into"
    "$@" "$binaries/python" -c 'import json, platform; print(json.dumps([platform.machine(), platform.python_version()]))' \
        >"$into/machine.json"
    "$@" "$binaries/pip" list --format json >"$into/packages.json"
    for model in "${models[@]}"; do
        name=$(basename "$model") && engine=litert
        [ "${name%.onnx}" = "$name" ] || engine=onnxruntime
        echo "$machine listens with $name ..." >&2
        "$@" "$binaries/tmgc-listen" "$files/$(basename "$recording")" --model "$files/$name" --engine "$engine" \
            --json --hop 2 --threads 1 >"$into/$name.jsonl"
        "$@" "$binaries/python" "$files/cpu_time.py" "$files/$name" "$engine" >"$into/$name.cpu.json"
        "$@" "$binaries/tmgc-listen" doctor --json --model "$files/$name" >"$into/$name.doctor.json" || # no microphone
            [ -s "$into/$name.doctor.json" ]
    done
}

check_machine
mkdir -p "$cache" && rm -rf "$cache/predictions" "$cache"/*/tmp/cortex-*
XDG_CACHE_HOME=$(realpath "$cache")/trials && export XDG_CACHE_HOME && rm -rf "$XDG_CACHE_HOME"
models=("$@")
if [ ${#models[@]} = 0 ]; then
    models=(edge_runtime/models/small.*.tflite)
    large=$(newest_int8 || true)
    [ -z "$large" ] || models+=("$large")
fi
for model in "${models[@]}"; do
    beside=${model%.tflite}.onnx
    [ "$beside" = "$model" ] || [ ! -e "$beside" ] || models+=("$beside")
done
collect_wheels
install_here
recording=${RECORDING:-$(a_recording)}
for suite in x86_64 $suites; do
    rm -rf "$cache/$suite-files" && mkdir -p "$cache/$suite-files"
    cp "$recording" "$here/cpu_time.py" "${models[@]}" "$cache/$suite-files"
done
predict x86_64 "$cache/x86_64/bin" "$cache/x86_64-files" env
for suite in $suites; do
    make_root "$suite"
    export cpuinfo=$cache/cpuinfo QEMU_CPU=cortex-a72
    write_cpuinfo "$QEMU_CPU"
    install_inside "$suite"
    for board in $boards; do
        write_cpuinfo "$board"
        QEMU_CPU=$board predict "$suite-$board" /opt/tmgc/bin /files inside "$suite"
    done
done
python3 "$here/compare.py" "$cache/predictions" "$report"
