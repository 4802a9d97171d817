"""What a GPU can do at most, by PyTorch: bytes per second of a device copy (read and written), bf16 matmul per second."""

import json
import sys

import torch
import transformers


def seconds_of(work, repeats: int) -> float:
    """The median by device events, after a warm-up."""
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return sorted(times)[len(times) // 2]


def main() -> int:
    versions = {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps({"kind": "versions", "versions": versions}))
    if not torch.cuda.is_available():
        print("PyTorch sees no GPU", file=sys.stderr)
        return 1
    # Far larger than any cache; random, since zeros run faster than data does.
    source = torch.randint(-128, 127, (1 << 31,), dtype=torch.int8, device="cuda")
    target = torch.empty_like(source)
    copy = 2 * source.numel() / seconds_of(lambda: target.copy_(source), 20)
    del source, target
    size = 8192
    a, b = (torch.randn(size, size, dtype=torch.bfloat16, device="cuda") for _ in range(2))
    matmul = 2 * size**3 / seconds_of(lambda: torch.matmul(a, b), 20)
    print(json.dumps({"kind": "limits", "copyBytesPerSecond": copy, "matmulOperationsPerSecond": matmul}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
