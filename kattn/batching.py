"""Requests that come in together are answered together, by one call of the model."""

import asyncio
import collections

#: Texts that the model reads at a time, at most.
SIZE = 64


class Batches:
    """A queue before a model, which takes what waits whenever the model is free.

    Nobody waits for a batch to fill: while the model reads one, the next one gathers.
    A request of more texts than a batch holds goes on at the end of the queue with each
    batch, so that those who came later wait for one batch of it and not for all. Of a
    batch that failed each request is answered by itself: an error is for who caused it.

    Args:
        answer: A function of a list of examples to a list of as many answers.
        executor: The `concurrent.futures.Executor` in which it is called.
        observe: A function that is told the size of each batch.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> async def ask():
        ...     with ThreadPoolExecutor(1) as executor:
        ...         lengths = Batches(lambda texts: [*map(len, texts)], executor)
        ...         return await asyncio.gather(
        ...             lengths.ask(["a", "bcd"]), lengths.ask(["ef"])
        ...         )
        >>> asyncio.run(ask())
        [[1, 3], [2]]
    """

    def __init__(self, answer, executor, observe=lambda size: None):
        self.answer, self.executor, self.observe = answer, executor, observe
        self.waiting = collections.deque()
        self.running = None

    async def ask(self, examples):
        """Answers to examples, in their order.

        Args:
            examples: A list; an empty one is answered at once.

        Returns:
            A list of as many answers.
        """
        if not examples:
            return []
        request = _Request(examples)
        self.waiting.append(request)
        if self.running is None:
            self.running = asyncio.create_task(self._run())
        return await request.answered

    async def _run(self):
        try:
            while batch := self._next():
                self.observe(sum(len(part) for _, part in batch))
                try:
                    await self._answer(batch)
                except Exception as error:
                    if len(batch) == 1:
                        batch[0][0].fail(error)
                        continue
                    for one in batch:
                        try:
                            await self._answer([one])
                        except Exception as error:
                            one[0].fail(error)
        finally:
            self.running = None

    async def _answer(self, batch):
        """Call the model once, and give each request of the batch its answers."""
        loop = asyncio.get_running_loop()
        examples = [x for _, part in batch for x in part]
        answers = await loop.run_in_executor(self.executor, self.answer, examples)
        answers = iter(answers)
        for request, part in batch:
            request.add([next(answers) for _ in part])

    def _next(self):
        """`(request, examples of it)` of the next batch."""
        batch, room, unfinished = [], SIZE, []
        while self.waiting and room:
            request = self.waiting.popleft()
            if request.answered.done():  # failed, or nobody waits for it any more
                continue
            part = request.take(room)
            room -= len(part)
            batch.append((request, part))
            if request.left:
                unfinished.append(request)
        self.waiting.extend(unfinished)
        return batch


class _Request:
    """Examples, how many of them the model was given, and the answers so far."""

    def __init__(self, examples):
        self.examples, self.taken, self.answers = examples, 0, []
        self.answered = asyncio.get_running_loop().create_future()

    @property
    def left(self):
        return len(self.examples) - self.taken

    def take(self, room):
        part = self.examples[self.taken : self.taken + room]
        self.taken += len(part)
        return part

    def add(self, answers):
        self.answers += answers
        if len(self.answers) == len(self.examples) and not self.answered.done():
            self.answered.set_result(self.answers)

    def fail(self, error):
        if not self.answered.done():
            self.answered.set_exception(error)
