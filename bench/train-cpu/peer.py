"""One step of training of Qwen3ForCausalLM of transformers on the CPU: forward, backward, clip, AdamW.

    python3 peer.py --model DIR --variant eager|compiled --batch 4 --length 256 --threads 2

Speaks as ours.ts does: a line of JSON for each request on standard input, `{"steps": 3}` or `{"memory": true}`. The weights
are those of the directory, in f32. The same batch each time; labels are the tokens. `eager`: nothing compiled. `compiled`:
torch.compile over the forward pass, whose backward is compiled with it. AdamW is PyTorch's fused one where the CPU has it.
"""

import argparse
import json
import resource
import sys
import time

import torch
import transformers
from transformers import Qwen3ForCausalLM


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def answer(value: dict) -> None:
    print(json.dumps(value), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--variant", choices=["eager", "compiled"], required=True)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Qwen3ForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    model.config.use_cache = False
    model.train()
    run = torch.compile(model) if options.variant == "compiled" else model
    vectors = [p for p in model.parameters() if p.dim() < 2]
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    try:
        optimizer, fused = torch.optim.AdamW(groups, lr=1e-4, fused=True), "fused"
    except RuntimeError:
        optimizer, fused = torch.optim.AdamW(groups, lr=1e-4), "not fused"
    count = options.batch * options.length
    tokens = (torch.arange(count) * 7919 + 13).remainder(model.config.vocab_size).view(options.batch, options.length)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = run(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    answer({"version": f"torch {torch.__version__}, transformers {transformers.__version__}, AdamW {fused}"})
    for line in sys.stdin:
        request = json.loads(line)
        if "steps" not in request:
            answer({"peakBytes": peak_bytes()})
            continue
        milliseconds, losses = [], []
        for _ in range(request["steps"]):
            started = time.perf_counter()
            losses.append(step())
            milliseconds.append((time.perf_counter() - started) * 1000)
        answer({"milliseconds": milliseconds, "losses": losses})
    return 0


if __name__ == "__main__":
    sys.exit(main())
