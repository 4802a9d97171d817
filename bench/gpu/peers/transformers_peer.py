"""Qwen3ForCausalLM of transformers on one text: decode token by token and prefill, a line of JSON for each figure.

    python3 transformers_peer.py --model DIR --variant eager|compiled --contexts 128,1024 --prefill 512,1024 --tokens 200

`eager`: a growing cache, nothing compiled. `compiled`: a static cache, torch.compile with mode reduce-overhead, which
replays CUDA graphs. Both pick the likeliest token on the device, as ours does greedily, and bring it to the host for
each token, as whoever prints a text must.
"""

import argparse
import inspect
import json
import sys
import time

import torch
from transformers import AutoModelForCausalLM, DynamicCache, StaticCache

WARM_TOKENS = 8
PREFILL_SAMPLES = 5


def say(kind: str, **values) -> None:
    print(json.dumps({"kind": kind, **values}), flush=True)


def text_of(count: int, vocab: int) -> list[int]:
    """The same tokens as ours."""
    return [(index * 7919 + 13) % min(vocab, 150000) for index in range(count)]


class Peer:
    def __init__(self, directory: str, variant: str, device: str):
        self.device = device
        self.variant = variant
        self.model = (
            AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16, attn_implementation="sdpa")
            .to(device)
            .eval()
        )
        # Versions differ in whether a forward pass is told where in the cache it writes.
        self.takes_cache_position = "cache_position" in inspect.signature(self.model.forward).parameters
        self.note = variant
        self.mode = "reduce-overhead" if device == "cuda" else "default"
        self.step = self.forward

    def compile(self, full: bool = True) -> None:
        torch._dynamo.reset()
        self.step = torch.compile(self.forward, mode=self.mode, fullgraph=full, dynamic=False)
        self.note = f"compiled, {self.mode}{'' if full else ', graph breaks'}"

    def synchronize(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def cache(self, length: int):
        if self.variant == "eager":
            return DynamicCache(config=self.model.config)
        cache = StaticCache(config=self.model.config, max_cache_len=length)
        config = self.model.config
        if hasattr(cache, "early_initialization"):
            cache.early_initialization(
                1, config.num_key_value_heads, config.head_dim, torch.bfloat16, torch.device(self.device)
            )
        return cache

    def forward(self, tokens, positions, cache):
        """The likeliest next token, [1, 1]."""
        more = {"cache_position": positions[0]} if self.takes_cache_position else {}
        output = self.model(
            input_ids=tokens,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **more,
        )
        return output.logits[:, -1:].argmax(-1)

    def run(self, step, tokens, positions, cache):
        if self.variant == "compiled" and self.device == "cuda":
            torch.compiler.cudagraph_mark_step_begin()
        # What a graph gave is overwritten by its next replay.
        return step(tokens, positions, cache).clone()

    def tensors(self, tokens: list[int], first: int):
        ids = torch.tensor([tokens], device=self.device)
        return ids, torch.arange(first, first + len(tokens), device=self.device)[None]

    def decode(self, size: int, count: int) -> list[float]:
        """Seconds of each token after the warm ones. The prompt is run eagerly, which is not part of it."""
        prompt = text_of(size, self.model.config.vocab_size)
        cache = self.cache(size + count + 1)
        token = self.forward(*self.tensors(prompt, 0), cache).clone()
        position = torch.tensor([[size]], device=self.device)
        times = []
        for _ in range(count):
            started = time.perf_counter()
            token = self.run(self.step, token, position, cache)
            token.item()
            times.append(time.perf_counter() - started)
            position = position + 1
        return times[WARM_TOKENS:]

    def prefill(self, size: int) -> list[float]:
        """Seconds from the tokens to the likeliest next one on the host."""
        prompt = self.tensors(text_of(size, self.model.config.vocab_size), 0)
        cache = self.cache(size + 1) if self.variant == "compiled" else None
        times = []
        for index in range(PREFILL_SAMPLES + 3):
            if cache is not None:
                cache.reset()
            used = cache if cache is not None else self.cache(size + 1)
            self.synchronize()
            started = time.perf_counter()
            self.run(self.step, *prompt, used).item()
            if index >= 3:
                times.append(time.perf_counter() - started)
        return times

    def begin(self) -> None:
        """Nothing of an earlier size stays: no graph, and no memory that its peak would count."""
        if self.variant == "compiled":
            self.compile()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def how(self) -> str:
        """How it ran; torch.compile leaves CUDA graphs out where it cannot use them, and only counts that."""
        skips = torch._dynamo.utils.counters["inductor"]["cudagraph_skips"]
        return f"{self.note}, CUDA graphs skipped {skips} times" if skips > 0 else self.note

    def memory(self) -> dict:
        return {"memoryBytes": torch.cuda.max_memory_reserved()} if self.device == "cuda" else {}


def measured(peer: Peer, what: str, work):
    """The times of the work; compiled in pieces where it cannot be compiled in one. None where it fails."""
    peer.begin()
    for full in (True, False):
        try:
            return work()
        except Exception as error:  # noqa: BLE001: a figure that fails must not cost the others
            if peer.variant != "compiled" or not full:
                say("note", note=f"{what}: {type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}")
                return None
            peer.compile(full=False)
    return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--variant", choices=["eager", "compiled"], required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--contexts", default="")
    parser.add_argument("--prefill", default="")
    parser.add_argument("--tokens", type=int, default=200)
    options = parser.parse_args()
    sizes = lambda text: [int(one) for one in text.split(",") if one]
    peer = Peer(options.model, options.variant, options.device)
    torch._dynamo.config.cache_size_limit = 64
    with torch.no_grad():
        for size in sizes(options.contexts):
            times = measured(peer, f"decode at {size}", lambda: peer.decode(size, options.tokens + WARM_TOKENS))
            if times:
                rates = [1 / seconds for seconds in times]
                say("decode", size=size, tokensPerSecond=rates, note=peer.how(), **peer.memory())
        for size in sizes(options.prefill):
            times = measured(peer, f"prefill of {size}", lambda: peer.prefill(size))
            if times:
                rates = [size / seconds for seconds in times]
                say("prefill", size=size, tokensPerSecond=rates, note=peer.how(), **peer.memory())
    return 0


if __name__ == "__main__":
    sys.exit(main())
