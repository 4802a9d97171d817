"""Holds our adapters against PEFT's, in f32 on the CPU.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers peft
    /tmp/venv/bin/python test/parity/with_peft.py --write                      # makes test/fixtures/tiny-adapter anew
    /tmp/venv/bin/python test/parity/with_peft.py --adapter DIR --base MODEL   # reads an adapter that we wrote

With --write PEFT wraps test/fixtures/tiny, fills A and B from a seed and saves the adapter; peft.json beside it holds the
logits of model and adapter, and how far those of the merged model are from them. Tests read the adapter and compare. With --adapter PEFT loads an
adapter; printed are the logits of the tokens, in the form of `weft logits MODEL --adapter DIR --tokens ... --json`.
"""

import argparse
import json
import platform
import sys
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
TOKENS = [5, 17, 3, 44]


def open_base(directory: Path):
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model, tokens: list) -> list:
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].tolist()


def write() -> None:
    torch.manual_seed(1)
    config = LoraConfig(r=2, lora_alpha=6, target_modules=["q_proj", "o_proj", "up_proj"], task_type="CAUSAL_LM")
    model = get_peft_model(open_base(FIXTURES / "tiny"), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1)
    model.eval()
    target = FIXTURES / "tiny-adapter"
    model.save_pretrained(target)
    (target / "README.md").unlink(missing_ok=True)
    file = target / "adapter_config.json"
    written = json.loads(file.read_text())
    written["base_model_name_or_path"] = "tiny"
    # Sets have no order of their own.
    written["target_modules"] = sorted(written["target_modules"])
    file.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n")
    beside = logits(model, TOKENS)
    merged = logits(model.merge_and_unload(), TOKENS)
    result = {
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        },
        "tokens": TOKENS,
        "logits": [[round(value, 7) for value in row] for row in beside],
        "mergedDifference": max(abs(a - b) for one, other in zip(beside, merged) for a, b in zip(one, other)),
    }
    (target / "peft.json").write_text(json.dumps(result) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="make the fixture anew")
    parser.add_argument("--adapter", type=Path, help="directory of an adapter to load")
    parser.add_argument("--base", type=Path, default=FIXTURES / "tiny", help="directory of its model")
    parser.add_argument("--tokens", default=",".join(map(str, TOKENS)), help="token ids, separated by commas")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.write:
        write()
    if arguments.adapter is not None:
        model = PeftModel.from_pretrained(open_base(arguments.base), arguments.adapter).eval()
        tokens = [int(one) for one in arguments.tokens.split(",")]
        print(json.dumps({"tokens": tokens, "logits": logits(model, tokens)}))
    if not arguments.write and arguments.adapter is None:
        parser.error("give --write or --adapter")
    return 0


if __name__ == "__main__":
    sys.exit(main())
