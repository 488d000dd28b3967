"""Connections whose request does not begin: they are closed, which uvicorn leaves open.

What arrives after its headers, the application waits for, and sets a time to it.
"""


def closing(protocol, seconds):
    """A protocol that gives the headers of each request a time to arrive.

    Args:
        protocol: One of uvicorn's for HTTP, a class.
        seconds: From the connection, or from a request's first byte.

    Returns:
        A subclass of it.
    """

    class Closing(protocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.clock = self.loop.call_later(seconds, transport.close)

        def data_received(self, data):
            super().data_received(data)
            answering = self.cycle is not None and not self.cycle.response_complete
            if answering and self.clock is not None:
                self.clock.cancel()
                self.clock = None
            elif not answering and self.clock is None:
                self.clock = self.loop.call_later(seconds, self.transport.close)

        def connection_lost(self, error):
            if self.clock is not None:
                self.clock.cancel()
            super().connection_lost(error)

    return Closing
