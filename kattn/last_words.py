"""What is said for a process that is ended before it can say it."""

import contextlib
import subprocess
import sys

# It reads until the other end of its pipe is closed, as it is when a process ends.
_HEIR = "import sys; sys.stdin.read() or print(sys.argv[1], file=sys.stderr)"


@contextlib.contextmanager
def spoken(words):
    """Have something said if this process ends within this context, however it does.

    A signal that cannot be handled, or a library that aborts, leaves a process no time
    for a sentence. Another process, which waits for that, says it on the same standard
    error.

    Args:
        words: The sentence.
    """
    heir = subprocess.Popen(
        [sys.executable, "-I", "-c", _HEIR, words],
        stdin=subprocess.PIPE,
        start_new_session=True,  # so that Ctrl-C is not for it
    )
    try:
        yield
    finally:
        heir.communicate(b"all is well")
