/** `weft guard`: exit codes pass through, and a tree of processes over its limit is ended, all of it. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { weft, weftProcess, withFolder } from "./command.ts";

const test = suite("guard");
const linux = existsSync("/proc/self/stat");
if (!linux) console.log("guard: skipped, there is no /proc here");
const when = (name: string, work: () => Promise<void>) => (linux ? test : test.skip)(name, work);

/** Takes so many megabytes and holds them. */
const taking = (megabytes: number) =>
  `const held = Buffer.alloc(${megabytes} * 1e6, 1); setInterval(() => held[0], 1000)`;

const lives = (id: number) =>
  existsSync(`/proc/${id}/stat`) && !/\) Z /.test(readFileSync(`/proc/${id}/stat`, "utf8"));

when("the exit code of the command is passed on, and its output", async () => {
  const limit = ["guard", "--memory-limit-gb", "64", "--"];
  const { code, stdout, stderr } = await weftProcess([
    ...limit,
    "sh",
    "-c",
    "echo out; echo err >&2; exit 7",
  ]);
  assert.equal([code, stdout, stderr], [7, "out\n", "err\n"]);
  assert.is((await weft(...limit, "true")).code, 0);
  assert.is((await weft(...limit, "sh", "-c", "kill -9 $$")).code, 128 + 9);
  assert.is((await weft(...limit, "sh", "-c", "kill -TERM $$")).code, 128 + 15);
});

when("a command that is not there, or cannot be run, has the shells' exit codes", async () => {
  const none = await weft("guard", "--memory-limit-gb=64", "--", "no-such-command-here");
  assert.equal([none.code, none.stderr], [127, "[guard] cannot run no-such-command-here; no such command\n"]);
  const folder = await weft("guard", "--memory-limit-gb=64", "--", "/");
  assert.is(folder.code, 126);
  assert.match(folder.stderr, /^\[guard\] cannot run \/; spawn \/ EACCES\n$/);
});

when("over the limit of resident memory all processes are ended, grandchildren too, with code 124", () =>
  withFolder(async (folder) => {
    const ids = join(folder, "ids");
    // The child ends by itself; the grandchild, in a session of its own, is nobody's child any more.
    const script = `setsid "$0" -e '${taking(300)}' & echo $! >> ${ids}; sleep 0.3; exec "$0" -e '${taking(10)}'`;
    const { code, stderr } = await weftProcess([
      "guard",
      "--memory-limit-gb",
      "0.3",
      "--memory-poll-secs",
      "0.1",
      "--",
      "sh",
      "-c",
      script,
      process.execPath,
    ]);
    assert.is(code, 124);
    assert.match(
      stderr,
      /^\[guard\] memory is 0\.\d\d GB, over the limit of 0\.30 GB; ending the command\n$/,
    );
    for (const id of readFileSync(ids, "utf8").trim().split("\n")) assert.not(lives(Number(id)), id);
  }),
);

when("a process that does not listen to TERM is killed", () =>
  withFolder(async (folder) => {
    const file = join(folder, "id");
    const script = `process.on("SIGTERM", () => {}); require("fs").writeFileSync(${JSON.stringify(file)}, String(process.pid)); ${taking(200)}`;
    const began = performance.now();
    const { code } = await weftProcess([
      "guard",
      "--memory-limit-gb=0.15",
      "--memory-poll-secs=0.1",
      "--kill-secs=0.3",
      "--",
      process.execPath,
      "-e",
      script,
    ]);
    assert.is(code, 124);
    assert.not(lives(Number(readFileSync(file, "utf8"))));
    assert.ok(performance.now() - began < 20_000);
  }),
);

when("a short time over the limit is borne where it is allowed", async () => {
  const script = `let held = Buffer.alloc(200e6, 1); setTimeout(() => process.exit(held[0] + 4), 400)`;
  const { code } = await weft(
    "guard",
    "--memory-limit-gb=0.15",
    "--memory-over-secs=30",
    "--memory-poll-secs=0.05",
    "--",
    process.execPath,
    "-e",
    script,
  );
  assert.is(code, 5);
});

when("signals reach the command, which decides", async () => {
  const script = `process.on("SIGTERM", () => process.exit(9)); console.log("up"); setInterval(() => {}, 1000)`;
  const { code } = await weftProcess(
    ["guard", "--memory-limit-gb=64", "--", process.execPath, "-e", script],
    {
      onOutput: (text, kill) => text.includes("up") && kill("SIGTERM"),
    },
  );
  assert.is(code, 9);
});

/** A nvidia-smi that prints what a shell text prints. */
async function withSmi<A>(
  script: string,
  work: (environment: Record<string, string>, folder: string) => Promise<A>,
): Promise<A> {
  return withFolder((folder) => {
    const file = join(folder, "nvidia-smi");
    writeFileSync(file, `#!/bin/sh\n${script}\n`);
    chmodSync(file, 0o755);
    return work({ PATH: [folder, dirname(process.execPath), process.env.PATH].join(delimiter) }, folder);
  });
}

const gpu = ["guard", "--gpu-limit-gb", "108", "--gpu-over-secs", "0", "--gpu-poll-secs", "0.1", "--"];

when("GPU memory of the tree is summed over GPUs; other processes do not count", () =>
  withFolder(async (kept) => {
    const ids = join(kept, "ids");
    // 60 GiB twice is over 108 GB; the foreign process alone would be, too.
    const smi = `echo "1, 200000"; for id in $(cat ${ids} 2>/dev/null); do echo "$id, 61440"; echo "$id, 61440 MiB"; done`;
    await withSmi(smi, async (environment) => {
      const idle = await weftProcess([...gpu, "sh", "-c", "sleep 0.5; exit 3"], { environment });
      assert.is(idle.code, 3, idle.stderr);
      const script = `sleep 30 & echo $! > ${ids}; wait`;
      const { code, stderr } = await weftProcess([...gpu, "sh", "-c", script], { environment });
      assert.is(code, 124);
      assert.is(stderr, "[guard] GPU memory is 128.85 GB, over the limit of 108.00 GB; ending the command\n");
      assert.not(lives(Number(readFileSync(ids, "utf8"))));
    });
  }),
);

when("where GPU memory cannot be read the command is not started", async () => {
  const remedy = "install NVIDIA's driver, or limit resident memory with --memory-limit-gb";
  const refusals: readonly [string, string][] = [
    ["echo 'NVIDIA-SMI has failed' >&2; exit 9", "nvidia-smi failed: NVIDIA-SMI has failed"],
    ["echo '12, [N/A]'", "nvidia-smi does not tell the memory of a process: 12, [N/A]"],
  ];
  for (const [script, given] of refusals) {
    await withSmi(script, async (environment, folder) => {
      const { code, stderr } = await weftProcess([...gpu, "touch", join(folder, "started")], { environment });
      assert.is(code, 2);
      assert.is(stderr, `[--gpu-limit-gb] GPU memory must be readable; given ${given}; ${remedy}\n`);
      assert.not(existsSync(join(folder, "started")));
    });
  }
  await withFolder(async (folder) => {
    const { code, stderr } = await weftProcess([...gpu, "true"], { environment: { PATH: folder } });
    assert.is(code, 2);
    assert.is(
      stderr,
      `[--gpu-limit-gb] GPU memory must be readable; given no nvidia-smi on the PATH; ${remedy}\n`,
    );
  });
});

when("a nvidia-smi that stops answering ends the command: a limit must not go unwatched", () =>
  withFolder((kept) =>
    withSmi(`test -e ${join(kept, "asked")} && exit 4; touch ${join(kept, "asked")}`, async (environment) => {
      const { code, stderr } = await weftProcess([...gpu, "sleep", "30"], { environment });
      assert.is(code, 124);
      assert.match(
        stderr,
        /^\[guard\] GPU memory cannot be watched any more: nvidia-smi failed: .*; ending the command\n$/,
      );
    }),
  ),
);

test("wrong usage: no limit, no command, numbers of nonsense", async () => {
  const { code, stderr } = await weft("guard", "--", "true");
  assert.equal(
    [code, stderr],
    [2, "[guard] must have a limit; given none; give --gpu-limit-gb, --memory-limit-gb or both\n"],
  );
  const mistakes: readonly (readonly string[])[] = [
    ["--memory-limit-gb", "1"],
    ["--memory-limit-gb", "0", "true"],
    ["--memory-limit-gb", "1", "--kill-secs", "-1", "true"],
  ];
  for (const argv of mistakes) assert.is((await weft("guard", ...argv)).code, 2);
});

test.run();
