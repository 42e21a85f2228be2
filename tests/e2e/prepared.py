"""Commands as processes that have imported the program already: half of a short command's work is to import it.

`python -m tests.e2e.prepared SOCKET` waits there; for each line that somebody sends it forks a process which becomes
`market-scraper WORDS...`, in that environment, and says how that ended.
"""

import asyncio
import gc
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from market_scraper import cli
from tests.e2e.system import ROOT, STOP_S, Finished, clean_environment

_LONGEST = 65_536  # bytes of a question


class Prepared:
    """Whoever runs the commands; its files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked = 0

    @property
    def socket(self) -> Path:
        """Where it is asked."""
        return self._folder / "prepared.sock"

    async def command(self, *words: str, env: Mapping[str, str] | None = None, within_s: float = 60.0) -> Finished:
        """Run `market-scraper WORDS...` to its end, as `system.command` does."""
        self._asked += 1
        out, error = (self._folder / f"command-{self._asked}.{name}" for name in ("out", "error"))
        question = {"words": words, "env": clean_environment() | dict(env or {}), "out": str(out), "error": str(error)}
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        try:
            writer.write(json.dumps(question).encode() + b"\n")
            code = await asyncio.wait_for(reader.readline(), within_s)
        finally:
            writer.close()
        return Finished(int(code), out.read_text(), error.read_text())


@asynccontextmanager
async def prepared(folder: Path) -> AsyncIterator[Prepared]:
    """Start one, whose files lie in `folder`."""
    there = Prepared(folder)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.e2e.prepared", str(there.socket)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment(),
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline()
        yield there
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), STOP_S)


def _wait_for_words(listening: socket.socket) -> list[str]:
    """Answer whoever asks, for ever; returns only in a process that shall run a command."""
    while True:
        asking, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            question = json.loads(asking.makefile().readline(_LONGEST))
            running = os.fork()
            if running == 0:
                asking.close()
                _become(question)
                words: list[str] = question["words"]
                return words
            _, status = os.waitpid(running, 0)
            asking.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        asking.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _become(question: dict[str, Any]) -> None:
    """Take the environment and the standard streams that a shell would have given."""
    os.environ.clear()
    os.environ.update(question["env"])
    nowhere = os.open(os.devnull, os.O_RDONLY)
    out, error = (os.open(question[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for name in ("out", "error"))
    for number, descriptor in enumerate((nowhere, out, error)):
        os.dup2(descriptor, number)
        os.close(descriptor)


def main() -> None:
    """Import what commands import, and wait."""
    from market_scraper.cli import follow, printing, remote  # noqa: F401

    listening = socket.socket(socket.AF_UNIX)
    listening.bind(sys.argv[1])
    listening.listen(64)
    print("ready", flush=True)
    gc.freeze()
    words = _wait_for_words(listening)
    sys.argv = ["market-scraper", *words]
    cli.main()


if __name__ == "__main__":
    main()
