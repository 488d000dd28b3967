"""Flags that belong to a call, and what to say where a constructor gets one."""


def check_flags(arguments):
    """Raise where a constructor is given what is asked call by call.

    Args:
        arguments: The constructor's further keyword arguments.

    Raises:
        TypeError: If `return_attention_scores` is among them.
    """
    if "return_attention_scores" in arguments:
        raise TypeError(
            "return_attention_scores is an argument of the call, not of the layer: "
            "layer(x, return_attention_scores=True). Received: "
            f"return_attention_scores={arguments['return_attention_scores']!r}"
        )
