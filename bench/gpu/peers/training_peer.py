"""Training steps of Qwen3ForCausalLM of transformers: forward, backward, clip, AdamW. A line of JSON for each size.

    python3 training_peer.py --model DIR --variant eager|compiled --device cuda --train 1024,4096

As ours: f32 weights and moments, products in bf16 (autocast), documents of 1024 tokens, labels are the tokens, every parameter
trained. Where these do not fit the device, weights and moments are bf16, and the note says so. `compiled`: torch.compile over the
forward pass, whose backward is compiled with it.
"""

import argparse
import json
import sys
import time

import torch
from transformers import Qwen3ForCausalLM

DOCUMENT = 1024
WARM_STEPS = 3
SAMPLES = 8


def say(kind: str, **values) -> None:
    print(json.dumps({"kind": kind, **values}), flush=True)


def steps(directory: str, variant: str, device: str, size: int, dtype: torch.dtype) -> tuple[list[float], int]:
    """Tokens per second of each step after the warm ones, and the most memory that was reserved."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    model = Qwen3ForCausalLM.from_pretrained(directory, dtype=dtype, attn_implementation="sdpa").to(device).train()
    model.config.use_cache = False
    torch._dynamo.reset()
    run = torch.compile(model) if variant == "compiled" else model
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-5, fused=device == "cuda")
    vocab = min(model.config.vocab_size, 150000)
    length = min(size, DOCUMENT)
    tokens = (torch.arange(length, device=device) * 7919 + 13).remainder(vocab).repeat(-(-size // length), 1)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=dtype == torch.float32):
            loss = run(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()

    rates = []
    for index in range(WARM_STEPS + SAMPLES):
        started = time.perf_counter()
        step()
        if index >= WARM_STEPS:
            rates.append(tokens.numel() / (time.perf_counter() - started))
    return rates, torch.cuda.max_memory_reserved() if device == "cuda" else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--variant", choices=["eager", "compiled"], required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--train", required=True)
    options = parser.parse_args()
    for size in (int(one) for one in options.train.split(",")):
        for dtype in (torch.float32, torch.bfloat16):
            try:
                rates, memory = steps(options.model, options.variant, options.device, size, dtype)
            except torch.cuda.OutOfMemoryError as error:
                say("note", note=f"training at {size} in {dtype}: {str(error).splitlines()[0][:200]}")
                continue
            kept = "f32 weights, bf16 products" if dtype == torch.float32 else "bf16 weights: f32 ones do not fit"
            more = {"memoryBytes": memory} if options.device == "cuda" else {}
            say("train", size=size, tokensPerSecond=rates, note=f"{options.variant}, {kept}", **more)
            break
    return 0


if __name__ == "__main__":
    sys.exit(main())
