# The two commands of the README, and what they need. Everything is installed into .venv, nothing outside it.
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo

# One TensorFlow thread a worker: two workers with two threads each would wait for each other. Three workers on two
# cores, since many tests wait: for a microphone, a broker, a clock.
TESTS := TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1 \
	$(BIN)/python -m pytest -n 3 --dist loadfile --durations=25

.PHONY: help demo small-model open-music test test-full lint docs wheel arm64 clean

help:
	@echo "make demo       from nothing to an answer: synthesised songs, a trained network, exports, latency (7 minutes)"
	@echo "make test       lint, types and tests (6 to 13 minutes on two cores)"
	@echo "make test-full  the tests that take longer (25 to 55 minutes)"
	@echo "make lint       ruff and mypy; does nothing where nothing has changed"
	@echo "make small-model  the model that the package brings along, trained anew (20 minutes)"
	@echo "make open-music  freely licensed music for a pretraining, into runs/open-music; needs apt (downloads about 6 GB)"
	@echo "make docs       the documentation, docs/_build/html/index.html; BUILDER=linkcheck follows its external links"
	@echo "make wheel      dist/tmgc-*.whl, which is what a Raspberry Pi needs"
	@echo "make arm64      the proof on emulated 64-bit ARM; needs root, debootstrap and qemu-user-static (10 minutes)"
	@echo "make clean      take away .venv and dist; runs stay"

# The images are small and the training is short, to take minutes; the network is the whole one.
demo: .venv/with-bench
	$(BIN)/tmgc-train demo-corpus $(DEMO)-songs
	@echo "a synthesised song, classified by the small model that the package contains:"
	@$(BIN)/tmgc-listen $(DEMO)-songs/Halk/halk_001.flac --model edge_runtime/models/small.int8.tflite
	$(BIN)/tmgc-train all $(DEMO)-songs $(DEMO) --offsets 1,5 --split-ratios 75,10,15 --image-size 75 --weights none \
		--augment negatives --head-epochs 8 --epochs 6 --batch-size 16 --learning-rate 3e-4 --batch-normalization frozen
	$(BIN)/tmgc-export $(DEMO) --format all --quantize dynamic,int8 --force
	@echo "a song of the test split, classified by the int8 TFLite file, then by the int8 ONNX file:"
	@$(BIN)/tmgc-listen $$($(HELD_OUT)) --model $(DEMO)/exports/$(notdir $(DEMO)).int8.tflite --engine litert
	@$(BIN)/tmgc-listen $$($(HELD_OUT)) --model $(DEMO)/exports/$(notdir $(DEMO)).int8.onnx --engine onnxruntime
	$(BIN)/tmgc-bench $(DEMO) --quick
	@echo
	@echo "That was synthesised music: a demonstration that everything works, not a model of real music."
	@echo "Next, with songs of your own in SONGS/<genre>/*.mp3 (docs/train.md):"
	@echo "  $(BIN)/tmgc-train all SONGS runs/mine"
	@echo "  $(BIN)/tmgc-export runs/mine"
	@echo "  $(BIN)/tmgc-listen song.mp3"

# The model that tmgc-listen takes where there is no other: a student of an InceptionResNetV2, in int8, under 1.5 MB.
TRAINING := --weights none --head-epochs 0 --optimizer adamw --augment roll,gain,noise,negatives,mixup --monitor last
small-model: .venv/with-bench
	$(BIN)/tmgc-train demo-corpus runs/small-songs --songs 60
	$(BIN)/tmgc-train all runs/small-songs runs/small-teacher --offsets 0.5,3,5.5 --image-size 96 $(TRAINING) \
		--learning-rate 1e-3 --epochs 6
	$(BIN)/tmgc-train distil runs/small-teacher runs/small $(TRAINING) --learning-rate 2e-3 --epochs 25
	$(BIN)/tmgc-export runs/small --format tflite --quantize int8 --force
	cp runs/small/exports/small.int8.tflite edge_runtime/models/

open-music: .venv/with-bench
	$(BIN)/tmgc-train open-music runs/open-music

# The first song of the test split, as dataset.csv lists it.
HELD_OUT = awk -F, '$$4 == "test" {print "$(DEMO)-songs/" $$2; exit}' $(DEMO)/dataset.csv

test: lint
	$(TESTS) -m "not full"

test-full: .venv/with-dev
	$(TESTS) --no-loadscope-reorder -m full

lint: .cache/linted

.cache/linted: .venv/with-dev $(shell find train export edge_runtime benchmarks beetsplug tests -name '*.py') $(wildcard docs/*.py)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@mkdir -p $(@D) && touch $@

BUILDER ?= html

docs: .venv/with-docs
	$(BIN)/sphinx-build -q -W --keep-going -n -d docs/_build/doctrees -b $(BUILDER) docs docs/_build/$(BUILDER)

wheel: | .venv/bin/pip
	rm -rf build
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	@ls dist/tmgc-*.whl

arm64:
	PYTHON=$(PYTHON) tests/arm64/prove.sh $(MODELS)

clean:
	rm -rf .venv .cache dist build *.egg-info

.venv/bin/pip:
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, got %d.%d: make PYTHON=python3.11" % v)'
	$(PYTHON) -m venv .venv

.venv/with-%: pyproject.toml | .venv/bin/pip
	@echo "installing tmgc[$*] into .venv (TensorFlow is large: a minute or two) ..."
	$(BIN)/pip install -qq --upgrade pip
	$(BIN)/pip install -qq --editable '.[$*]'
	@touch $@
