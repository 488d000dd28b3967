"""What every normalizer gives."""


class Normalizer:
    """Base class: energies `(..., Tq, Tk)` to weights of the same shape.

    Called as `normalizer(energies, visible=None, *drawn)`, it normalises over the last
    axis. Energies are float32 or wider, and weights have their dtype; `visible` is a
    boolean tensor that broadcasts to them, `None` where all is seen; `drawn` is what
    `draw` gave.

    The weights of a query are at least 0 and sum to 1 (to at most 1, where they are
    monotonic); those of a query that may see nothing are 0, all of them, with finite
    gradients. An energy of -inf hides its key as a mask does; NaN and +inf, which is an
    overflow, give NaN and are not hidden.

    Most normalizers are values (`kattn.parts.Value`); one with chance in it is a layer,
    which owns its seed.
    """

    #: Whether weights depend on those of the query before, as they do in monotonic
    #: attention: then the last of `drawn` are the weights before the first query.
    remembers = False

    def draw(self, shape, training):
        """What chance brings to one call: drawn beforehand, outside of any loop.

        Args:
            shape: Shape of the energies, a tuple of integers and scalar tensors.
            training: Whether this is training; weights may differ from inference.

        Returns:
            A tuple of further arguments of the normalizer.
        """
        return ()
