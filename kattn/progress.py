"""Early stopping that a killed run can be resumed from, to the same figures.

`keras.callbacks.BackupAndRestore` keeps neither the dropout's seeds nor the state of
early stopping. What must be kept is all of `model.variables`, the optimizer's
variables, the epoch, the best weights so far and the history.
"""

import json
import time
from pathlib import Path

import keras
import numpy as np

from kattn.files import replacing

CHECKPOINT = "checkpoint.npz"


class Progress(keras.callbacks.Callback):
    """Keeps the best weights, stops when they get no better, and can be resumed.

    The best epoch is the one of highest validation accuracy, ties going to the lower
    validation loss.

    Args:
        folder: Where the checkpoint of each finished epoch is written, whole or not at
            all.
        patience: So many epochs without a better one end the training.
        writes: Whether to write the checkpoint, which one process of several does.
    """

    def __init__(self, folder, patience, writes=True):
        super().__init__()
        self.path = Path(folder) / CHECKPOINT
        self.patience = patience
        self.writes = writes
        self.history = []
        self.best_epoch = None
        self.best_weights = None
        self.stopped = False

    def on_epoch_begin(self, epoch, logs=None):
        """Start the clock."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Judge the epoch and write the checkpoint."""
        row = {"epoch": epoch, "seconds": time.perf_counter() - self._began}
        row.update({name: float(value) for name, value in logs.items()})
        self.history.append(row)
        if self.best_epoch is None or _rank(row) > _rank(self.history[self.best_epoch]):
            self.best_epoch = epoch
            self.best_weights = self.model.get_weights()
        self.stopped = epoch - self.best_epoch >= self.patience
        if self.stopped:
            self.model.stop_training = True
        if self.writes:
            self._save()

    @property
    def next_epoch(self):
        """The epoch to start or go on with."""
        return len(self.history)

    def finished(self, epochs):
        """Whether a training of so many epochs has come to its end."""
        return self.stopped or self.next_epoch >= epochs

    def _save(self):
        arrays = {
            "variables": [np.asarray(v) for v in _numpy(self.model.variables)],
            "optimizer": [
                np.asarray(v) for v in _numpy(self.model.optimizer.variables)
            ],
            "best": self.best_weights,
        }
        state = {
            "history": self.history,
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
            "counts": {name: len(values) for name, values in arrays.items()},
        }
        flat = {
            f"{name}/{i}": value
            for name, values in arrays.items()
            for i, value in enumerate(values)
        }
        with replacing(self.path) as path, open(path, "wb") as file:
            np.savez(file, state=np.array(json.dumps(state)), **flat)

    def restore(self, model):
        """Go back to the last finished epoch.

        Args:
            model: The model, compiled, made as it was when the run began.

        Raises:
            ValueError: If the checkpoint cannot be read or is of another model.
        """
        try:
            # Opened here, for np.load leaves a file that is no archive open.
            with open(self.path, "rb") as file:
                archive = np.load(file, allow_pickle=False)
                state = json.loads(str(archive["state"]))
                arrays = {
                    name: [archive[f"{name}/{i}"] for i in range(count)]
                    for name, count in state["counts"].items()
                }
        except Exception as error:
            raise ValueError(
                f"The checkpoint {str(self.path)!r} cannot be read: {error}"
            ) from error
        model.optimizer.build(model.trainable_variables)
        _assign(model.variables, arrays["variables"], self.path)
        _assign(model.optimizer.variables, arrays["optimizer"], self.path)
        self.best_weights = arrays["best"]
        self.history = state["history"]
        self.best_epoch = state["best_epoch"]
        self.stopped = state["stopped"]


def _rank(row):
    return row["val_accuracy"], -row["val_loss"]


def _numpy(variables):
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables, values, path):
    shapes = [tuple(v.shape) for v in variables], [v.shape for v in values]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"The checkpoint {str(path)!r} is of another model: it has "
            f"{len(values)} variables where {len(variables)} are expected, or others."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
