"""The export that a finished training has beside its preset."""

import os
import subprocess
import sys
from pathlib import Path

import keras

from kattn import serving


def write_saved_model(model, folder: Path) -> None:
    """Export for serving, by TensorFlow whatever the backend of this process is.

    Args:
        model: What was trained.
        folder: The run's folder, with its `preset/`; it gets `saved_model/1/`.

    Raises:
        RuntimeError: If another process was needed, and failed.
    """
    if keras.backend.backend() == "tensorflow":
        serving.export(model, folder / "saved_model")
        return
    command = [sys.executable, "-m", "kattn", "export"]
    # The child finds this kattn, also where a checkout is run without installing it.
    paths = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH")]
    environment = {
        **os.environ,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    done = subprocess.run(
        [*command, str((folder / "preset").absolute()), str(folder / "saved_model")],
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"TensorFlow could not write the export: {done.stderr.strip()[-1000:]}"
        )
