"""What a command line asks of a training: a recipe, a folder, logs."""

import importlib.util
from pathlib import Path

from kattn import recipe
from kattn.run_files import new_folder


def asked(arguments: dict, cls: type, complete) -> tuple:
    """The recipe that is to be trained, and where.

    Args:
        arguments: `recipe` (a TOML file, whose keys the others override), `output` and
            `resume` (folders), `tensorboard`, and keys of a recipe.
        cls: The class of the recipe.
        complete: A function of the keys that are given to the recipe.

    Returns:
        The recipe, the `pathlib.Path` of the run's folder, and whether to write logs
        for TensorBoard.

    Raises:
        ValueError: If a key or a value is not one of a recipe's, the folder is not
            empty, or the run to resume is finished.
        FileNotFoundError: If a file named, or the run to resume, is not there.
        ImportError: If logs are asked for and TensorBoard is not installed.
    """
    arguments = dict(arguments)
    output = arguments.pop("output", None)
    resume = arguments.pop("resume", None)
    tensorboard = arguments.pop("tensorboard", False)
    file = arguments.pop("recipe", None)
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ImportError(
            "--tensorboard needs the package tensorboard, which is not installed: "
            'pip install "kattn[tensorboard]"'
        )
    if resume is not None:
        if arguments or file or output:
            given = sorted([*arguments, *(["recipe"] if file else [])])
            given += ["output"] if output else []
            raise ValueError(
                "A resumed run keeps its recipe, so --resume stands alone. "
                f"Received beside it: {', '.join(given)}"
            )
        folder = Path(resume)
        if not (folder / "recipe.toml").is_file():
            raise FileNotFoundError(f"There is no run to resume in {str(folder)!r}.")
        if (folder / "metrics.json").is_file():
            raise ValueError(f"The run in {str(folder)!r} is finished.")
        return cls(**recipe.read(folder / "recipe.toml", cls)), folder, tensorboard
    recipe.check(arguments, cls)
    chosen = complete({**(recipe.read(file, cls) if file else {}), **arguments})
    return chosen, new_folder(chosen.model, chosen.dataset, output), tensorboard
