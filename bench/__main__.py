"""`python -m bench [NAME ...]`: run all benchmarks, or those named."""

from __future__ import annotations

import os
import platform
import sys
import time

from bench import delivery, latency, list_mode, memory, one_account, scale, scheduler_load, single_get, start

BENCHMARKS = {
    "single_get": single_get.run,
    "list_mode": list_mode.run,
    "latency": latency.run,
    "delivery": delivery.run,
    "start": start.run,
    "memory": memory.run,
    "one_account": one_account.run,
    "scheduler_load": scheduler_load.run,
    "scale": scale.run,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"Error: no benchmark {', '.join(unknown)}\nTry: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d %H:%M')}", flush=True)
    for name in names or BENCHMARKS:
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
