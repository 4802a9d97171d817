import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSafetensors, parseSafetensorsHeader } from "../../../packages/qwen3/src/weights/index.ts";
import fc from "../../support/fast-check.ts";
import { fixtures, inDirectory, left, refusedWith, right, writeRaw } from "./files.ts";

const test = suite("qwen3/weights: safetensors headers");
const f32 = (shape: number[], begin: number, end: number) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

/** Opens a file of this header and this many data bytes. */
const open = (header: unknown, data: number, headerLength?: bigint) =>
  inDirectory((directory) =>
    openSafetensors(writeRaw(join(directory, "x.safetensors"), header, data, headerLength)),
  );

test("reads the fixtures: names, types, shapes and absolute ranges", () => {
  const file = right(openSafetensors(join(fixtures, "tiny/model.safetensors")));
  assert.is(file.bytes, 462832);
  assert.is(file.metadata.format, "pt");
  assert.is(file.entries.length, 2 * 11 + 3);
  const [embedding] = file.entries;
  assert.equal(embedding, {
    name: "model.embed_tokens.weight",
    dtype: "F32",
    shape: [320, 64],
    begin: embedding!.begin,
    end: embedding!.begin + 81920,
    file: join(fixtures, "tiny/model.safetensors"),
  });
  assert.is(file.entries.at(-1)!.end, file.bytes);
  const tied = right(openSafetensors(join(fixtures, "tiny-tied/model.safetensors")));
  assert.is(
    tied.entries.every(({ dtype }) => dtype === "BF16"),
    true,
  );
});

test("absent files, directories and files too short for a length", async () => {
  await inDirectory((directory) => {
    refusedWith(openSafetensors(join(directory, "none.safetensors")), "none.safetensors] must exist");
    refusedWith(openSafetensors(directory), "must be a regular file");
    for (const size of [0, 1, 7]) {
      const file = join(directory, "short.safetensors");
      writeFileSync(file, Buffer.alloc(size));
      refusedWith(openSafetensors(file), "8-byte length", `given a file of ${size} bytes`, "fetch it again");
    }
  });
});

test("a header longer than the file or than the limit", async () => {
  refusedWith(
    await open("{}", 0, 3n),
    "header must fit into the file",
    "given a header of 3 bytes in a file of 10",
  );
  refusedWith(await open("{}", 0, 0xffffffffffffffffn), "header must fit", "18446744073709551615");
  refusedWith(await open("{}", 0, 2n ** 53n), "header must fit");
  await inDirectory((directory) => {
    const file = writeRaw(join(directory, "x.safetensors"), "{}", 0, 100_000_001n);
    truncateSync(file, 100_000_100); // sparse
    refusedWith(openSafetensors(file), "at most 100000000 bytes", "given 100000001 bytes");
  });
});

test("a header that is no JSON object", async () => {
  refusedWith(await open("", 0), "must be JSON in UTF-8");
  refusedWith(await open('{"a":', 0), "must be JSON in UTF-8");
  refusedWith(await open("[]", 0), "must be a JSON object", "given []");
  refusedWith(await open("null", 0), "must be a JSON object");
  refusedWith(
    parseSafetensorsHeader(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 15, "x"),
    "must be JSON in UTF-8",
  );
  refusedWith(await open({ __metadata__: { step: 3 } }, 0), "__metadata__ must map strings to strings");
  assert.equal(right(await open("{}   ", 0)).entries, []);
});

test("a truncated file: one line counts the tensors beyond its end and names the first", async () => {
  await inDirectory((directory) => {
    const whole = readFileSync(join(fixtures, "tiny/model.safetensors"));
    const file = join(directory, "model.safetensors");
    writeFileSync(file, whole.subarray(0, whole.length - 1));
    refusedWith(
      openSafetensors(file),
      "data_offsets must lie in the file",
      "at lm_head.weight",
      "fetch it again",
    );
    const { entries } = right(openSafetensors(join(fixtures, "tiny/model.safetensors")));
    writeFileSync(file, whole.subarray(0, entries[0]!.begin + 1));
    const lines = left(openSafetensors(file));
    assert.is(lines.length, 1, lines.join("\n"));
    const first = entries.slice(0, 3).map(({ name }) => name);
    assert.match(lines[0]!, `${entries.length} of ${entries.length} tensors end behind it`);
    assert.match(lines[0]!, `at ${first.join(", ")} and ${entries.length - 3} more; `);
  });
});

test("entries with wrong types, shapes or sizes", async () => {
  const cases: [unknown, number, string][] = [
    [{ a: 7 }, 0, "an entry must be an object"],
    [{ a: { ...f32([1], 0, 4), dtype: "F99" } }, 4, 'given "F99"; at a'],
    [{ a: { ...f32([1], 0, 4), dtype: "toString" } }, 4, "dtype must be"],
    [
      { a: { ...f32([1], 0, 4), shape: [-1] } },
      4,
      "shape must be a list of non-negative integers; given [-1]",
    ],
    [{ a: { ...f32([1], 0, 4), shape: [1.5] } }, 4, "shape must be"],
    [{ a: { ...f32([1], 0, 4), shape: ["1"] } }, 4, "shape must be"],
    [{ a: { ...f32([1], 0, 4), shape: 1 } }, 4, "shape must be"],
    [{ a: { dtype: "F32", data_offsets: [0, 4] } }, 4, "shape must be"],
    [{ a: f32([1], 4, 0) }, 4, "data_offsets must be two ascending"],
    [{ a: f32([1], -4, 0) }, 4, "data_offsets must be two ascending"],
    [{ a: { dtype: "F32", shape: [1], data_offsets: [0] } }, 4, "data_offsets must be two"],
    [{ a: { dtype: "F32", shape: [1] } }, 4, "data_offsets must be two"],
    [{ a: f32([2], 0, 4) }, 4, "data_offsets must span the bytes of F32 [2], 8; given [0, 4], 4 bytes"],
    [{ a: f32([], 0, 8) }, 8, "span the bytes of F32 [], 4"],
    [{ a: f32([2 ** 40, 2 ** 40], 0, 4) }, 4, "span the bytes of F32"],
    [{ a: { dtype: "F4", shape: [3], data_offsets: [0, 2] } }, 2, "span the bytes of F4"],
    [{ a: f32([2], 0, 8) }, 4, "data_offsets must lie in the file; given an end at 8, but the file has 4"],
    [{ "": f32([1], 0, 4) }, 4, "a tensor must have a name"],
  ];
  for (const [header, data, message] of cases)
    refusedWith(await open(header, data), "x.safetensors] ", message);
});

test("of many wrong entries the first ones are told, and how many more there are", async () => {
  const header = Object.fromEntries(Array.from({ length: 25 }, (_, index) => [`t${index}`, 7]));
  const lines = left(await open(header, 0));
  assert.is(lines.length, 21);
  assert.match(lines.at(-1)!, "5 more problems of this kind");
});

test("overlaps, gaps and trailing bytes", async () => {
  refusedWith(
    await open({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8),
    "must not overlap",
    "4 bytes shared with a; at b",
  );
  refusedWith(await open({ a: f32([1], 0, 4), b: f32([1], 0, 4) }, 4), "must not overlap");
  refusedWith(
    await open({ a: f32([1], 0, 4), b: f32([1], 8, 12) }, 12),
    "must leave no gap",
    "given 4 bytes",
    "at b",
  );
  refusedWith(await open({ a: f32([1], 4, 8) }, 8), "must leave no gap", "at a");
  refusedWith(await open({ a: f32([1], 0, 4) }, 5), "must end with the last tensor", "given 1 bytes");
  refusedWith(await open({}, 3), "must end with the last tensor");
  const unordered = right(await open({ b: f32([1], 4, 8), empty: f32([0], 4, 4), a: f32([1], 0, 4) }, 8));
  assert.equal(
    unordered.entries.map(({ name }) => name),
    ["b", "empty", "a"],
  );
});

test("duplicate names and keys, which JSON.parse hides", async () => {
  const entry = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}';
  refusedWith(await open(`{"a":${entry},"a":${entry}}`, 4), "listed once", 'two entries named "a"', "at a");
  refusedWith(await open(`{"a":${entry},"\\u0061":${entry}}`, 4), "listed once");
  refusedWith(
    await open('{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,4]}}', 4),
    "each key of an entry must be there once",
    '"dtype"',
  );
});

test("several wrong entries are reported together", async () => {
  const header = {
    a: { ...f32([1], 0, 4), dtype: "X" },
    b: f32([2], 0, 4),
    c: { ...f32([1], 0, 4), shape: null },
  };
  assert.is(left(await open(header, 4)).length, 3);
});

test("a mutated header never throws, and what is accepted lies in the file", () => {
  const whole = readFileSync(join(fixtures, "tiny/model.safetensors"));
  const length = Number(whole.readBigUInt64LE());
  const header = whole.subarray(8, 8 + length);
  const mutation = fc.record({
    at: fc.nat(length - 1),
    byte: fc.constantFrom(...'0123456789-,:[]{}"abF'.split("")),
  });
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
      const changed = Uint8Array.from(header);
      for (const { at, byte } of mutations) changed[at] = byte.charCodeAt(0);
      const result = parseSafetensorsHeader(changed, whole.length, "x");
      if (Either.isLeft(result)) return;
      const sorted = [...result.right.entries].sort((a, b) => a.begin - b.begin);
      let at = 8 + length;
      for (const { begin, end } of sorted) {
        assert.is(begin, at);
        at = end;
      }
      assert.is(at, whole.length);
    }),
    { numRuns: 300 },
  );
});

test.run();
