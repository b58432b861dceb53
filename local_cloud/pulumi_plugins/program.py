"""Runs one Pulumi program. Started by the language host in the project's interpreter, which need not know this package.

The request comes as JSON on stdin, so that no decrypted configuration is in arguments or environment. Exit code 0:
the program ended well. 32: it failed, and what there is to say has been said (the number is that of the official host).
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import runpy
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

EXIT_SAID = 32
SDK_MISSING = """The Pulumi SDK is not installed in {prefix}.
Run: {python} -m pip install -r requirements.txt"""


def main() -> int:
    request: dict[str, Any] = json.load(sys.stdin)
    try:
        import pulumi
        import pulumi.runtime
    except ImportError as error:
        print(f"{error}\n{SDK_MISSING.format(prefix=sys.prefix, python=sys.executable)}", file=sys.stderr)
        return EXIT_SAID

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end_quietly)
    pulumi.runtime.set_all_config(request["config"], request["config_secret_keys"])
    pulumi.runtime.configure(pulumi.runtime.Settings(**request["settings"]))
    sys.argv = [request["program"], *request["arguments"]]
    os.chdir(request["directory"])
    program = Path(request["program"]).resolve()
    if not (program.is_file() or (program / "__main__.py").is_file()):
        pulumi.log.error(f"there is no __main__.py in {program}")
        return EXIT_SAID

    # A program that fails leaves futures that nobody awaits: asyncio's complaints would hide the real message.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=max(request["settings"]["parallel"], 1) * 4)
    loop.set_default_executor(executor)

    def run() -> None:
        runpy.run_path(request["program"], run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(run))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return EXIT_SAID
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception as error:
        pulumi.log.error(f"Program failed with an unhandled exception:\n{user_traceback(error, program)}")
        return EXIT_SAID
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        # The SDKs hold so many objects that collecting them at the end takes longer than many a program.
        gc.freeze()
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def end_quietly(number: int, frame: object) -> None:
    """The engine has ended the update, and says so itself: a traceback would only hide that."""
    del frame
    os._exit(128 + number)


def user_traceback(error: BaseException, program: Path) -> str:
    """The traceback from the program's own first frame on; all of it if the program has none."""
    own = {str(program), str(program / "__main__.py")}
    for position, frame in enumerate(frames := traceback.extract_tb(error.__traceback__)):
        if str(Path(frame.filename).resolve()) in own:
            return "".join(traceback.format_exception(error, limit=position - len(frames)))
    return "".join(traceback.format_exception(error))


if __name__ == "__main__":
    sys.exit(main())
