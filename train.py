"""Train an attention model: `python train.py --help` says how."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    # By its path, for `import kattn` would load Keras before --backend is read.
    line = runpy.run_path(Path(__file__).parent / "kattn" / "command_line.py")
    arguments = vars(line["parser"]().parse_args())
    debug = arguments.pop("debug", False)
    with line["reporting"](debug):
        line["choose_backend"](arguments.pop("backend", None))
        line["load_quietly"]()
        preset = arguments.pop("evaluate", None)
        if preset:
            from kattn.evaluation import evaluate

            evaluate(preset, arguments)
        else:
            from kattn import recipes

            recipes.run(arguments)
