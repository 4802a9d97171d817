/** `weft export`: what it writes and says, and what it refuses. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openOnnx } from "../support/onnx.ts";
import { root, tiny, weft, withFolder } from "./command.ts";

test("export writes a model that onnxruntime opens, and says what goes in and out", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "model.onnx");
    const { code, stdout, stderr } = await weft("export", tiny, "--onnx", file, "--external-data");
    assert.is(code, 0, stderr);
    assert.match(
      stdout,
      /model\.onnx\.data: .*\n\d+ nodes of opset 18\ninputs: input_ids, past_key_values\.0\.key, /,
    );
    assert.match(
      stdout,
      "\noutputs: logits, present.0.key, present.0.value, present.1.key, present.1.value\n",
    );
    const session = await openOnnx(file);
    assert.is(session.inputNames.length, 5);
    await session.release();
  });
});

test("export refuses what it cannot read or write, and leaves what was there", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "model.onnx");
    writeFileSync(file, "mine");
    const outcomes: readonly (readonly [readonly string[], RegExp])[] = [
      [[tiny], /\[export\] needs a file for the model; give --onnx FILE/],
      [[join(folder, "absent"), "--onnx", file], /absent/],
      [
        [join(root, "test/fixtures/nvfp4/modelopt"), "--onnx", file],
        /standard ONNX operators do not read quantised weights/,
      ],
      [[tiny, "--onnx", join(folder, "no", "model.onnx")], /must lie in a folder that exists/],
      [[tiny, "--onnx", folder], /must be a file; given a folder/],
    ];
    for (const [argv, message] of outcomes) {
      const { code, stderr } = await weft("export", ...argv);
      assert.is(code, 2, stderr);
      assert.match(stderr, message);
    }
    assert.is(readFileSync(file, "utf8"), "mine");
    assert.equal(readdirSync(folder), ["model.onnx"]);
  });
});

test.run();
