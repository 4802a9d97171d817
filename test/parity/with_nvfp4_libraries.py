"""Makes small NVFP4 checkpoints with the libraries that define their formats, and holds our codecs against ml_dtypes.

    python -m venv /tmp/venv
    /tmp/venv/bin/pip install torch transformers ml_dtypes compressed-tensors nvidia-modelopt omegaconf requests
    /tmp/venv/bin/python test/parity/with_nvfp4_libraries.py --write

Writes test/fixtures/nvfp4, all from test/fixtures/tiny-tied widened to f32:

* compressed-tensors: that library's own compressor, weights only. One linear stays plain, by a regular expression.
* modelopt: mtq.quantize with its NVFP4 configuration and export_hf_checkpoint, with scales of activations.
* dat: nobody's library runs here, so it is written by the documented layout: both forms of keys, each type of block scale,
  embedding and norms in f16, and a head of its own although the model is tied.

reference.json beside each holds the logits of the model with its weights taken apart again. codecs.json holds what
ml_dtypes makes of every code and of some thousand numbers. Tests compare; none of this is needed to run them.
"""

import argparse
import base64
import copy
import json
import platform
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import ml_dtypes
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SOURCE = FIXTURES / "tiny-tied"
TARGET = FIXTURES / "nvfp4"
TOKENS = [5, 17, 3, 44, 200, 9]
E2M1 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def open_source():
    return AutoModelForCausalLM.from_pretrained(SOURCE, dtype=torch.float32, attn_implementation="eager").eval()


def logits(model) -> list:
    with torch.no_grad():
        values = model(torch.tensor([TOKENS]), use_cache=False).logits[0]
    return [[round(value, 6) for value in row] for row in values.tolist()]


def unpacked(codes: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Code times block scale of each element."""
    both = torch.stack([codes & 15, codes >> 4], dim=-1).flatten(-2)
    return E2M1[both.long()] * scales.float().repeat_interleave(16, dim=-1)


def finish(folder: Path, weights: dict, libraries: list, head: torch.Tensor | None = None) -> None:
    """Puts weights into the model and stores its logits, and what a checkpoint has beside its weights."""
    model = open_source()
    if head is not None:
        model.lm_head.weight = torch.nn.Parameter(head)
    with torch.no_grad():
        for name, value in weights.items():
            model.get_parameter(name).copy_(value)
    versions = {name: version(name) for name in ["torch", "transformers", *libraries]}
    result = {
        "versions": {"python": platform.python_version(), **versions},
        "tokens": TOKENS,
        "logits": logits(model),
    }
    (folder / "reference.json").write_text(json.dumps(result) + "\n")
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        shutil.copyfile(SOURCE / name, folder / name)
    (folder / "generation_config.json").unlink(missing_ok=True)


def with_compressed_tensors() -> None:
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, QuantizationScheme, apply_quantization_config
    from compressed_tensors.quantization.quant_scheme import NVFP4A16
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

    model = open_source()
    config = QuantizationConfig(
        config_groups={"group_0": QuantizationScheme(targets=["Linear"], **NVFP4A16)},
        ignore=["lm_head", r"re:.*layers\.1\.mlp\.down_proj"],
    )
    apply_quantization_config(model, config)
    for module in model.modules():
        scheme = getattr(module, "quantization_scheme", None)
        if scheme is None:
            continue
        weight = module.weight.detach()
        total = generate_gparam(weight.amin(), weight.amax())
        blocks = weight.unflatten(-1, (-1, 16))
        scale, _ = calculate_qparams(blocks.amin(-1), blocks.amax(-1), scheme.weights, global_scale=total)
        module.weight_global_scale.data.copy_(total)
        module.weight_scale.data.copy_(scale)
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    folder = TARGET / "compressed-tensors"
    model.save_pretrained(folder)
    compressor.update_config(folder)
    stored = load_file(folder / "model.safetensors")
    weights = {}
    for name, codes in stored.items():
        if name.endswith(".weight_packed"):
            module = name.removesuffix(".weight_packed")
            value = unpacked(codes, stored[f"{module}.weight_scale"])
            weights[f"{module}.weight"] = value / stored[f"{module}.weight_global_scale"]
    finish(folder, weights, ["compressed-tensors"])


def with_modelopt() -> None:
    import modelopt.torch.quantization as mtq
    from modelopt.torch.export import export_hf_checkpoint

    def calibrate(model):
        with torch.no_grad():
            model(torch.tensor([TOKENS]))

    model = mtq.quantize(open_source(), copy.deepcopy(mtq.NVFP4_DEFAULT_CFG), calibrate)
    folder = TARGET / "modelopt"
    export_hf_checkpoint(model, dtype=torch.float32, export_dir=folder)
    stored = load_file(folder / "model.safetensors")
    weights = {}
    for name, scale in stored.items():
        if name.endswith(".weight_scale_2"):
            module = name.removesuffix(".weight_scale_2")
            value = unpacked(stored[f"{module}.weight"], stored[f"{module}.weight_scale"])
            weights[f"{module}.weight"] = value * scale
    finish(folder, weights, ["nvidia-modelopt"])


def leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def dat_entry(key: str, kind: int, shape, data: bytes) -> bytes:
    name = key.encode()
    return leb128(len(name)) + name + b"".join(map(leb128, [kind, len(shape), *shape])) + data


def with_dat() -> None:
    """Block scales as that trainer makes them: amax / 6, at least 2^-6, to nearest even."""
    model = open_source()
    entries, weights = [], {}
    head = None
    kinds = [101, 101, 0, 5, 6]
    names = [*dict(model.named_parameters()), "lm_head.weight"]
    for name in names:
        value = model.get_parameter(name).detach()
        if value.ndim == 1 or "embed" in name:
            half = value.half()
            entries.append(dat_entry(name, 5, value.shape, half.numpy().tobytes()))
            weights[name] = half.float()
            continue
        blocks = value.numpy().reshape(value.shape[0], -1, 16)
        scale = np.clip(np.abs(blocks).max(-1) / np.float32(6), 2.0**-6, 448).astype(ml_dtypes.float8_e4m3fn)
        codes = (blocks / scale.astype(np.float32)[..., None]).astype(ml_dtypes.float4_e2m1fn).view(np.uint8) & 15
        codes = codes.reshape(value.shape[0], -1)
        packed = codes[:, 0::2] | codes[:, 1::2] << 4
        kind = kinds[len(entries) % len(kinds)]
        stored = {5: scale.astype(np.float16), 6: scale.astype(np.float32)}.get(kind, scale)
        # The first layer has one form of keys, the rest the other.
        stem = name if "layers.0." in name else name.removesuffix(".weight")
        entries.append(dat_entry(f"{stem}.qdata", 0, packed.shape, packed.tobytes()))
        entries.append(dat_entry(f"{stem}.scale", kind, scale.shape, stored.tobytes()))
        whole = unpacked(torch.from_numpy(packed), torch.from_numpy(scale.astype(np.float32)))
        if name == "lm_head.weight":
            head = whole
        else:
            weights[name] = whole
    folder = TARGET / "dat"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.dat").write_bytes(leb128(len(entries)) + b"".join(entries))
    shutil.copyfile(SOURCE / "config.json", folder / "config.json")
    finish(folder, weights, ["ml_dtypes"], head)


def text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def codecs() -> None:
    random = np.random.default_rng(1)
    e2m1 = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float32)
    e4m3 = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)

    def around(values: np.ndarray) -> np.ndarray:
        """Values, what lies half way between them, and the neighbours of all these."""
        grid = np.sort(values[np.isfinite(values)])
        points = np.concatenate([grid, (grid[1:] + grid[:-1]) / np.float32(2)]).astype(np.float32)
        limits = [np.nextafter(points, np.float32(way), dtype=np.float32) for way in (-np.inf, np.inf)]
        return np.concatenate([points, *limits])

    near4, near8 = around(e2m1), around(e4m3)
    # Larger ones are NaN there and 448 here, by definition.
    near8 = near8[np.abs(near8) <= 448]
    four = np.concatenate([near4, random.normal(0, 2, 2000), random.uniform(-8, 8, 500)]).astype(np.float32)
    powers = random.choice([-1, 1], 2500) * 2.0 ** random.uniform(-12, np.log2(448), 2500)
    eight = np.concatenate([near8, powers]).astype(np.float32)
    result = {
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "ml_dtypes": ml_dtypes.__version__},
        "e2m1": {
            "values": text(e2m1),
            "from": text(four),
            "codes": text(four.astype(ml_dtypes.float4_e2m1fn).view(np.uint8) & 15),
        },
        "e4m3": {
            "values": text(e4m3),
            "from": text(eight),
            "codes": text(eight.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)),
        },
    }
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "codecs.json").write_text(json.dumps(result) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="make the fixtures anew")
    if not parser.parse_args().write:
        parser.error("give --write")
    torch.set_num_threads(1)
    if sys.byteorder != "little":
        raise SystemExit("needs a little-endian machine")
    codecs()
    with_dat()
    with_compressed_tensors()
    with_modelopt()
    return 0


if __name__ == "__main__":
    sys.exit(main())
