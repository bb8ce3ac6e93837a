"""Training learns, documents itself, repeats for a seed, and survives being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from edge_runtime import ModelCard, TmgcError
from tests.train.training.conftest import QUICK, history
from train.cli import main
from train.dataset.dataset import Dataset, read_dataset, write_dataset
from train.evaluation import compute_scores
from train.progress import Reporter
from train.run import Run
from train.training import Augmentation, Checkpoint, TrainingConfig, fit, resume
from train.training.callbacks import CheckpointAndEarlyStopping
from train.training.checkpoint import TrainingState, save_model


@pytest.fixture(params=["tiny_trained_run", pytest.param("trained_run", marks=pytest.mark.full)])
def run(request: pytest.FixtureRequest) -> Run:
    """A trained run: of the tiny network, and of the whole InceptionResNetV2."""
    trained: Run = request.getfixturevalue(request.param)
    return trained


def in_a_process(run: Run, *options: object, **environment: str) -> subprocess.Popen[str]:
    """Train the tiny network by the command, in a process that can be killed or runs another backend."""
    code = "import tests.factories; from train.cli import main; main()"
    command = [sys.executable, "-c", code, "fit", run.folder, "--architecture", "tiny", "--weights", "none", *options]
    return subprocess.Popen(
        [*map(str, command), "--batch-size", "12"], stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def validation_loss(dataset: Dataset) -> float:
    """Of the saved model."""
    network, clips = keras.models.load_model(dataset.run.model, compile=False), dataset.of("validation")
    probabilities = network.predict(dataset.images(clips), verbose=0)
    return float(-np.log(probabilities[np.arange(len(clips)), dataset.labels(clips)]).mean())


def test_both_phases_stand_in_the_history_and_the_loss_falls(run: Run) -> None:
    for phase in ("head", "fine-tuning"):
        losses = [float(row["loss"]) for row in history(run, phase)]
        assert losses[-1] < 0.7 * losses[0], phase


def test_the_learning_rate_rises_and_then_falls_to_zero(run: Run) -> None:
    rates = [float(row["learning_rate"]) for row in history(run, "fine-tuning")]
    highest = run.card().training["learning_rate"]
    assert max(rates) <= highest
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[-1] < highest / 100


def test_the_card_describes_the_network_and_its_training(run: Run) -> None:
    card, dataset = run.card(), read_dataset(run)
    assert card.demonstration is dataset.demonstration
    assert card.genres == dataset.genres
    assert card.spectrogram == dataset.spectrogram
    network = keras.models.load_model(run.model, compile=False)
    assert card.network["architecture"] == network.name
    assert card.network["parameters"] == network.count_params()
    assert card.training["train"]["clips"] == len(dataset.of("train"))
    config = TrainingConfig.from_json(card.training["settings"])
    assert (card.training["head_epochs"], card.training["epochs"]) == (config.head_epochs, config.epochs)
    assert card.versions["keras"] == keras.__version__


@pytest.mark.full
def test_the_whole_network_has_54_million_parameters_and_a_card_that_says_demonstration(trained_run: Run) -> None:
    card = trained_run.card()
    assert card.demonstration
    assert card.network["architecture"] == "inception_resnet_v2"
    assert card.network["parameters"] > 54_000_000
    assert card.accuracy["split"] == "test"


def test_the_saved_model_classifies_songs_that_it_was_not_trained_on(run: Run) -> None:
    dataset = read_dataset(run)
    clips = dataset.of("test")
    network = keras.models.load_model(run.model, compile=False)
    result = compute_scores(network.predict(dataset.images(clips), verbose=0), clips, dataset.genres, split="test")
    assert result.song_accuracy >= 0.8


def test_one_seed_repeats_the_first_epoch(small_dataset: Dataset) -> None:
    def first_epoch(seed: int) -> float:
        fit(small_dataset, replace(QUICK, epochs=1, seed=seed))
        return float(history(small_dataset.run, "fine-tuning")[0]["loss"])

    loss = first_epoch(0)
    assert first_epoch(0) == pytest.approx(loss, abs=1e-4)
    assert first_epoch(1) != pytest.approx(loss, abs=1e-4)


def test_the_weights_of_the_best_epoch_are_saved_and_nothing_is_left_behind(
    small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))  # nothing may be written outside the run
    config = replace(QUICK, epochs=6, learning_rate=0.1, schedule="constant", augmentation=Augmentation.only(()))
    fit(small_dataset, config)
    losses = [float(row["val_loss"]) for row in history(small_dataset.run, "fine-tuning")]
    assert validation_loss(small_dataset) == pytest.approx(min(losses), rel=1e-3)
    assert max(losses) > 1.01 * min(losses), "or any epoch would do"
    assert not Checkpoint(small_dataset.run).exists()
    assert not list(small_dataset.run.folder.glob(".part-*"))
    assert list((small_dataset.run.tensorboard / "fine-tuning").rglob("events.out*"))


def test_a_fine_tuning_that_only_harms_leaves_the_best_epoch_of_the_head(small_dataset: Dataset) -> None:
    next_genre = dict(zip(small_dataset.genres, np.roll(small_dataset.genres, 1), strict=True))
    clips = [
        replace(clip, genre=next_genre[clip.genre]) if clip.split == "validation" else clip
        for clip in small_dataset.clips
    ]
    small_dataset = replace(small_dataset, clips=tuple(clips))
    fit(small_dataset, replace(QUICK, head_epochs=4, head_learning_rate=0.02, epochs=1, schedule="constant"))
    head, fine_tuning = (
        [float(row["val_loss"]) for row in history(small_dataset.run, phase)] for phase in ("head", "fine-tuning")
    )
    assert min(head) < min(fine_tuning), "or there is nothing to see"
    assert min(head) < head[-1], "or the last epoch would do"
    assert validation_loss(small_dataset) == pytest.approx(min(head), rel=1e-3)


@pytest.mark.usefixtures("without_dropout")
def test_a_resumed_training_ends_like_one_without_interruption(
    small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(QUICK, epochs=4)
    fit(small_dataset, config)
    uninterrupted = history(small_dataset.run, "fine-tuning")
    save = CheckpointAndEarlyStopping.save

    def interrupted_after_two(self: CheckpointAndEarlyStopping, network: keras.Model, *, is_best: bool) -> None:
        save(self, network, is_best=is_best)
        if Checkpoint(small_dataset.run).read(small_dataset.fingerprint())[1].epochs == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointAndEarlyStopping, "save", interrupted_after_two)
    with pytest.raises(KeyboardInterrupt):
        fit(small_dataset, config)
    monkeypatch.setattr(CheckpointAndEarlyStopping, "save", save)
    resume(small_dataset)
    resumed = history(small_dataset.run, "fine-tuning")
    for column in ("loss", "val_loss", "learning_rate"):
        expected = [float(row[column]) for row in uninterrupted]
        assert [float(row[column]) for row in resumed] == pytest.approx(expected, rel=1e-3), column


@pytest.mark.full
def test_a_killed_training_resumes_from_its_last_complete_epoch(small_dataset: Dataset) -> None:
    run = small_dataset.run
    with in_a_process(run, "--head-epochs", 0, "--epochs", 20, "--augment", "none") as killed:
        while not list((run.folder / ".training").glob("epoch-00000[1-9]")):
            assert killed.poll() is None, killed.communicate()[1]
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    complete = Checkpoint(run).read(small_dataset.fingerprint())[1].epochs
    assert 1 <= complete < 20
    refused = CliRunner().invoke(main, ["fit", str(run.folder)])
    assert refused.exit_code == 2
    assert Checkpoint(run).exists()
    resumed = CliRunner().invoke(main, ["fit", str(run.folder), "--resume"])
    assert resumed.exit_code == 0
    assert [int(row["epoch"]) for row in history(run, "fine-tuning")] == [*range(1, run.card().training["epochs"] + 1)]
    assert run.card().training["epochs"] > complete


def test_an_interruption_while_the_head_trains_leaves_the_history_of_the_earlier_model(small_dataset: Dataset) -> None:
    class Interruption(Reporter):
        def epoch(self, number: int, values: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

    small_dataset.run.history_csv.write_text("of the earlier model", "utf-8")
    with pytest.raises(KeyboardInterrupt):
        fit(small_dataset, replace(QUICK, head_epochs=2), Interruption())
    assert small_dataset.run.history_csv.read_text("utf-8") == "of the earlier model"


def test_logs_that_cannot_be_written_are_one_line(small_dataset: Dataset) -> None:
    class Blocker(Reporter):
        def phase(self, name: str, steps: int) -> None:
            if name == "training the head":
                small_dataset.run.tensorboard.touch()

    with pytest.raises(
        TmgcError, match=r"logs of a training go to .*/tensorboard: they cannot be written \([^()]+\)\."
    ):
        fit(small_dataset, replace(QUICK, head_epochs=1), Blocker())


def test_folders_that_a_run_links_to_keep_what_they_hold(small_dataset: Dataset, tmp_path: Path) -> None:
    run, private = small_dataset.run, tmp_path / "private"
    kept = [private / name for name in ("epoch-000001/mine", "writing/mine", "head/mine")]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.touch()
    for link in (Checkpoint(run).folder, run.folder / ".training-removed", run.tensorboard):
        link.symlink_to(private)
    fit(small_dataset, QUICK)
    assert sorted(path for path in private.rglob("*") if path.is_file()) == sorted(kept)


def test_a_training_is_resumed_under_the_lock_of_its_run(small_dataset: Dataset) -> None:
    with small_dataset.run.lock(), pytest.raises(TmgcError, match="another is at work"):
        resume(small_dataset)


def test_a_finished_training_cannot_be_resumed(small_dataset: Dataset) -> None:
    with pytest.raises(TmgcError, match="there is none"):
        resume(small_dataset)


@pytest.mark.full
def test_jax_trains_and_shares_batches_among_devices_whatever_the_number_of_clips(small_dataset: Dataset) -> None:
    odd = small_dataset.of("train")[1:] + small_dataset.of("validation")[1:]
    small_dataset = replace(small_dataset, clips=(*odd, *small_dataset.of("test")))
    write_dataset(small_dataset)
    two_devices = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    done = in_a_process(small_dataset.run, "--head-epochs", 1, "--epochs", 1, "--data-parallel", **two_devices)
    _, stderr = done.communicate()
    assert done.returncode == 0, stderr
    assert small_dataset.run.card().training["backend"] == "jax"
    under_jax = history(small_dataset.run, "head") + history(small_dataset.run, "fine-tuning")
    assert np.isfinite([float(row["val_loss"]) for row in under_jax]).all()
    network = keras.models.load_model(small_dataset.run.model, compile=False)
    assert network.predict(small_dataset.images(small_dataset.clips[:3]), verbose=0).shape == (3, 3)


def test_data_parallel_training_needs_the_jax_backend(small_dataset: Dataset) -> None:
    with pytest.raises(TmgcError, match="KERAS_BACKEND=jax"):
        fit(small_dataset, replace(QUICK, data_parallel=True))


@pytest.mark.full
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_network_trained_in_16_bits_is_saved_in_32(
    precision: str, small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[np.ndarray] = []

    def save(
        network: keras.Model, dataset: Dataset, config: TrainingConfig, state: TrainingState, **rest: Any
    ) -> ModelCard:
        trained.extend(network.get_weights())
        return save_model(network, dataset, config, state, **rest)

    monkeypatch.setattr("train.training.trainer.save_model", save)
    fit(small_dataset, replace(QUICK, epochs=1, precision=precision))
    network = keras.models.load_model(small_dataset.run.model, compile=False)
    assert {layer.compute_dtype for layer in network.get_layer("backbone").layers} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    assert len(trained) > 10
    for expected, saved in zip(trained, network.get_weights(), strict=True):
        np.testing.assert_array_equal(expected, saved)


def test_a_learning_rate_is_found_and_its_curve_is_written(small_dataset: Dataset) -> None:
    card = fit(small_dataset, replace(QUICK, epochs=1, learning_rate=None))
    assert 1e-6 <= card.training["learning_rate"] <= 0.1
    assert small_dataset.run.lr_finder("png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("learning_rate", [None, 1e-3])
def test_a_damaged_clip_is_refused_in_one_line(learning_rate: float | None, small_dataset: Dataset) -> None:
    for clip in small_dataset.of("train"):
        clip.audio_path(small_dataset.run).write_bytes(b"damaged")
    config = replace(QUICK, learning_rate=learning_rate, calibrate_batch_normalization=False)
    with pytest.raises(TmgcError, match=r"\.flac"):
        fit(small_dataset, config)


def test_the_evaluation_of_an_earlier_model_is_removed(small_dataset: Dataset) -> None:
    run = small_dataset.run
    stale = [
        run.evaluation_json("test"),
        run.report_html("train"),
        run.plot("confusion", "test"),
        run.lr_finder("png"),
    ]
    kept = [run.folder / "evaluation-before.json", run.folder / "report-mine.html", run.plots / "notes.txt"]
    (run.plots / "mine").mkdir(parents=True)
    for path in stale + kept:
        path.touch()
    fit(small_dataset, replace(QUICK, epochs=1))
    assert not any(path.exists() for path in stale)
    assert all(path.exists() for path in kept)


def test_missing_weights_are_found_before_the_images_are_loaded_and_cost_nothing_of_an_earlier_training(
    small_dataset: Dataset,
) -> None:
    earlier = [small_dataset.run.model, small_dataset.run.tensorboard / "fine-tuning" / "events"]
    earlier[1].parent.mkdir(parents=True)
    for path in earlier:
        path.write_bytes(b"earlier")
    for clip in small_dataset.clips:
        clip.image_path(small_dataset.run).unlink()
    with pytest.raises(TmgcError, match="existing weights file"):
        fit(small_dataset, replace(QUICK, weights="nowhere.weights.h5"))
    assert all(path.read_bytes() == b"earlier" for path in earlier)


def test_the_reference_recipe_trains_within_its_time_limit(small_dataset: Dataset) -> None:
    card = fit(small_dataset, replace(QUICK, minutes=1e-6).with_recipe("reference"))
    assert card.training["epochs"] == 1
    assert card.training["head_epochs"] == 0
    assert json.loads(json.dumps(card.training["settings"]))["augmentation"]["flip"] is True


def test_the_head_is_trained_on_negatives_as_well(small_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    uniform: list[int] = []

    def fit_head(network: keras.Model, features: np.ndarray, targets: np.ndarray, **rest: object) -> None:
        uniform.append(int((targets.max(axis=1) < 0.5).sum()))
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "fit", fit_head)
    config = replace(QUICK, head_epochs=1)
    with pytest.raises(KeyboardInterrupt):
        fit(small_dataset, replace(config, augmentation=replace(config.augmentation, negative_share=0.25)))
    assert uniform == [9], "a quarter of 36 clips"


@pytest.mark.full
def test_a_network_that_begins_with_another_run_inherits_the_licence_of_its_weights(
    small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    quick = replace(QUICK, epochs=1)
    card = fit(small_dataset, quick)
    assert "licence" not in card.network
    first = small_dataset.run.model.rename(tmp_path / "model.keras")
    noted = card.replace(network={**card.network, "licence": "Name the authors."})
    (tmp_path / "card.json").write_text(noted.to_json(), "utf-8")
    with monkeypatch.context() as context:
        context.setattr("train.training.trainer._Training._callbacks", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fit(small_dataset, replace(quick, weights=str(first)))
    (tmp_path / "card.json").unlink()
    assert resume(small_dataset).network["licence"] == "Name the authors.", "wherever its weights are by then"


def test_initial_weights_whose_licence_cannot_be_read_are_refused(small_dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "model.keras").touch()
    (tmp_path / "pretraining.json").write_text("{", "utf-8")
    with pytest.raises(TmgcError, match=r"licence along, which cannot be read in .*pretraining\.json"):
        fit(small_dataset, replace(QUICK, weights=str(tmp_path / "model.keras")))
