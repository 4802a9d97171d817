/** Where nvcc is looked for, in which order, and what is said when it is nowhere. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { findNvcc, requireNvcc } from "@weft/runtime-cuda";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { writeFakeNvcc } from "../support/fake-nvcc.ts";

const test = suite("find nvcc");
let folder = "";
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-nvcc-test-"));
});
test.after.each(() => rmSync(folder, { recursive: true, force: true }));

const put = (path: string) => writeFakeNvcc(join(folder, path)).path;
const site = "lib/python3.11/site-packages/nvidia";

test("on the path, then in the toolkit, then in virtual environments", async () => {
  const environment = {
    PATH: join(folder, "bin"),
    CUDA_HOME: join(folder, "toolkit"),
    VIRTUAL_ENV: join(folder, "active"),
  };
  const options = { environment, venv: join(folder, "given") };
  const from = async () => (await findNvcc(options)).nvcc?.path;
  // From the last place to the first: each is preferred to those after it.
  for (const place of [
    `active/${site}/cuda_nvcc/bin/nvcc`,
    `active/${site}/cu13/bin/nvcc`,
    `given/${site}/cu13/bin/nvcc`,
    "toolkit/bin/nvcc",
    "bin/nvcc",
  ]) {
    const path = put(place);
    assert.is(await from(), path);
  }
  assert.is((await findNvcc(options)).nvcc?.version, "13.0.88");
});

test("WEFT_NVCC is the only place where it is set", async () => {
  put("bin/nvcc");
  const named = join(folder, "named");
  const environment = { PATH: join(folder, "bin"), WEFT_NVCC: named };
  assert.equal(await findNvcc({ environment }), {
    nvcc: undefined,
    tried: [{ place: named, found: "nothing there" }],
  });
  put("named");
  assert.is((await findNvcc({ environment })).nvcc?.path, named);
});

test("a program that does not run is passed over, and told", async () => {
  const broken = put("bin/nvcc");
  writeFileSync(broken, "#!/bin/sh\necho cannot open libnvvm >&2\nexit 1\n");
  chmodSync(broken, 0o755);
  const good = put("toolkit/bin/nvcc");
  const environment = { PATH: join(folder, "bin"), CUDA_HOME: join(folder, "toolkit") };
  const { nvcc, tried } = await findNvcc({ environment });
  assert.is(nvcc?.path, good);
  assert.equal(tried, [{ place: broken, found: "it does not run: cannot open libnvvm" }]);
});

test("nowhere: the error lists every place and says what to install", async () => {
  try {
    const path = ["bin", "sbin", "games"].map((name) => join(folder, name)).join(delimiter);
    await requireNvcc({ environment: { PATH: path, CUDA_HOME: join(folder, "toolkit") } });
    assert.unreachable();
  } catch (error) {
    const { message } = error as Error;
    const [first, ...places] = message.split("\n");
    assert.match(
      first!,
      /^\[nvcc\] must be there to compile ahead of time; install .*pip install nvidia-cuda-nvcc .* or set WEFT_NVCC to its path; tried:$/,
    );
    assert.is(places[0], "  PATH (3 folders): nothing there");
    assert.is(places[1], `  ${join(folder, "toolkit/bin/nvcc")}: nothing there`);
    assert.not.match(message, join(folder, "bin/nvcc"));
  }
});

test.run();
