"""Holds the fixtures against Qwen3ForCausalLM of Hugging Face transformers, in f32 on the CPU.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers
    /tmp/venv/bin/python test/parity/with_transformers.py          # compares and prints
    /tmp/venv/bin/python test/parity/with_transformers.py --write    # and stores test/parity/transformers.json

What is compared: logits and the residual stream at every position, the greedy continuation, the loss. Exits with 1 when
a difference is above the tolerance.
"""

import argparse
import hashlib
import json
import platform
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM

HERE = Path(__file__).resolve().parent
FIXTURES = HERE.parent / "fixtures"
NAMES = ["tiny", "tiny-tied"]
FILES = ["config.json", "model.safetensors", "oracle.json"]
TOLERANCE = 1e-4


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def observe(model, states: dict) -> None:
    """Keeps the residual stream under the names that oracle.json uses."""
    for index, layer in enumerate(model.model.layers):
        layer.register_forward_hook(
            lambda _module, _inputs, output, index=index: states.__setitem__(
                f"l_out-{index}", (output[0] if isinstance(output, tuple) else output).reshape(-1, model.config.hidden_size)
            )
        )
        layer.post_attention_layernorm.register_forward_pre_hook(
            lambda _module, inputs, index=index: states.__setitem__(
                f"ffn_inp-{index}", inputs[0].reshape(-1, model.config.hidden_size)
            )
        )
    model.model.norm.register_forward_hook(
        lambda _module, _inputs, output: states.__setitem__("result_norm", output.reshape(-1, model.config.hidden_size))
    )


def largest_difference(actual: torch.Tensor, expected: list) -> float:
    return (actual.double() - torch.tensor(expected, dtype=torch.float64)).abs().max().item()


def compare(name: str) -> dict:
    directory = FIXTURES / name
    oracle = json.loads((directory / "oracle.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.tensor([oracle["tokens"]])
    states: dict = {}
    observe(model, states)
    with torch.no_grad():
        output = model(tokens, labels=tokens, use_cache=False)
    seen = {key: largest_difference(states[key], rows) for key, rows in oracle["states"].items()}
    greedy = list(oracle["tokens"])
    with torch.no_grad():
        for _ in oracle["greedy"]:
            greedy.append(model(torch.tensor([greedy]), use_cache=False).logits[0, -1].argmax().item())
    return {
        "files": {file: sha256(directory / file) for file in FILES},
        "logits": largest_difference(output.logits[0], oracle["logits"]),
        "states": seen,
        "loss": abs(output.loss.item() - oracle["loss"]),
        "greedyEqual": greedy[len(oracle["tokens"]) :] == oracle["greedy"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="store the result beside this script")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "tolerance": TOLERANCE,
        "fixtures": {name: compare(name) for name in NAMES},
    }
    text = json.dumps(result, indent=2)
    print(text)
    worst = max(
        max([one["logits"], one["loss"], *one["states"].values()]) for one in result["fixtures"].values()
    )
    sound = worst <= TOLERANCE and all(one["greedyEqual"] for one in result["fixtures"].values())
    if arguments.write:
        (HERE / "transformers.json").write_text(text + "\n")
    print(f"largest difference {worst:.3g}: {'within' if sound else 'ABOVE'} the tolerance", file=sys.stderr)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
