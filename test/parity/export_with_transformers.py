"""Opens exports of models that were trained from nothing with Hugging Face transformers, in f32 on the CPU.

    python -m venv /tmp/venv && /tmp/venv/bin/pip install torch transformers
    node --conditions=source --import tsx test/parity/export.ts /tmp/exports
    /tmp/venv/bin/python test/parity/export_with_transformers.py /tmp/exports            # compares and prints
    /tmp/venv/bin/python test/parity/export_with_transformers.py /tmp/exports --write    # and stores transformers-export.json

What is compared: that every tensor is there and none is left over, token ids of texts, chats by the exported template,
logits at every position, the greedy continuation. Exits with 1 when something differs.
"""

import argparse
import hashlib
import json
import platform
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
NAMES = ["tied-f32", "untied-bf16"]
FILES = ["config.json", "tokenizer.json", "tokenizer_config.json"]
TOLERANCE = 1e-4


def compare(directory: Path) -> dict:
    expected = json.loads((directory / "expected.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model, info = AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager", output_loading_info=True
    )
    model.eval()
    tokens = torch.tensor([expected["tokens"]])
    prompt = tokens[:, :4]
    with torch.no_grad():
        logits = model(tokens, use_cache=False).logits[0]
        # Past the end of a text, as the other side goes on.
        greedy = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=12, do_sample=False, eos_token_id=-1
        )[0, 4:]
    difference = logits.double() - torch.tensor(expected["logits"], dtype=torch.float64)
    return {
        "files": {file: hashlib.sha256((directory / file).read_bytes()).hexdigest() for file in FILES},
        "missing": sorted(info["missing_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "tokenizer": type(tokenizer).__name__,
        "texts": [{"text": one["text"], "ids": tokenizer(one["text"]).input_ids} for one in expected["texts"]],
        "textsEqual": all(tokenizer(one["text"]).input_ids == one["ids"] for one in expected["texts"]),
        "chatsEqual": all(
            tokenizer.apply_chat_template(one["messages"], add_generation_prompt=True, tokenize=False) == one["rendering"]
            for one in expected["chats"]
        ),
        "endToken": [tokenizer.eos_token_id, model.config.eos_token_id],
        "logits": difference.abs().max().item(),
        "greedyEqual": greedy.tolist() == expected["greedy"],
    }


def is_sound(one: dict) -> bool:
    same = one["textsEqual"] and one["chatsEqual"] and one["greedyEqual"] and one["endToken"][0] == one["endToken"][1]
    return same and one["missing"] == [] and one["unexpected"] == [] and one["logits"] <= TOLERANCE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what export.ts has written")
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
        "exports": {name: compare(arguments.folder / name / "model") for name in NAMES},
    }
    text = json.dumps(result, indent=2, ensure_ascii=False)
    print(text)
    sound = all(is_sound(one) for one in result["exports"].values())
    if arguments.write:
        (HERE / "transformers-export.json").write_text(text + "\n")
    print("the exports are read as ours" if sound else "something DIFFERS", file=sys.stderr)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
