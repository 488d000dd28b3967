"""What an attention cell asks of the recurrent cell in it."""

import keras


def plain(size):
    """A `state_size` in plain lists."""
    return [plain(x) for x in size] if isinstance(size, list | tuple) else size


def below_top(cell):
    """How many states come before those of the top cell of a stack."""
    cells = getattr(cell, "cells", None)
    if not cells:
        return 0
    below = keras.tree.flatten([plain(lower.state_size) for lower in cells[:-1]])
    return len(below) + below_top(cells[-1])


def output_width(cell):
    """Of a cell that does not say it: its output is its top layer's first state."""
    width = getattr(cell, "output_size", None)
    return width or keras.tree.flatten(cell.state_size)[below_top(cell)]
