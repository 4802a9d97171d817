/** `.dat` streams: what is written is read, and no byte of a damaged one is believed. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as Either from "fp-ts/lib/Either.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type DatElementType,
  type DatTensorToWrite,
  datElements,
  datElementTypeOf,
  openCheckpoint,
  openDat,
  readTensorBytes,
  writeDat,
} from "../../../packages/qwen3/src/weights/index.ts";
import fc from "../../support/fast-check.ts";
import { fixtures, inDirectory, left, refusedWith, right } from "./files.ts";

const test = suite("qwen3/weights: .dat streams");
const elementTypes = Object.keys(datElements).map(Number) as DatElementType[];
const fixture = join(fixtures, "nvfp4/dat/model.dat");

const tensor = (key: string, elementType: DatElementType, shape: readonly number[]): DatTensorToWrite => {
  const bytes = shape.reduce((product, size) => product * size, datElements[elementType].bytes as number);
  return { key, elementType, shape, data: Uint8Array.from({ length: bytes }, (_, i) => (i * 37) & 255) };
};

/** A stream byte by byte. */
const stream = (directory: string, ...parts: (number | string)[]): string => {
  const file = join(directory, "x.dat");
  writeFileSync(
    file,
    Buffer.concat(parts.map((part) => Buffer.from(typeof part === "string" ? part : [part]))),
  );
  return file;
};

test("every element type, rank and order comes back", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "x.dat");
    const one = fc.record({
      elementType: fc.constantFrom(...elementTypes),
      shape: fc.array(fc.nat(5), { maxLength: 4 }),
      key: fc.string({ minLength: 1, maxLength: 200, unit: "grapheme" }),
    });
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(one, { selector: ({ key }) => key, maxLength: 8 }), async (list) => {
        const tensors = list.map(({ key, elementType, shape }) => tensor(key, elementType, shape));
        right(await writeDat(file, tensors));
        const opened = right(openDat(file));
        assert.equal(
          opened.entries.map((entry) => ({
            key: entry.name,
            elementType: entry.elementType,
            shape: entry.shape,
            data: readTensorBytes(entry),
          })),
          tensors,
        );
        assert.is(opened.bytes, readFileSync(file).length);
      }),
      { numRuns: 60 },
    );
  });
});

test("element types of safetensors have their numbers", () => {
  for (const type of elementTypes) {
    if (type === 100) continue;
    assert.is(datElementTypeOf(datElements[type].dtype), type);
  }
  assert.is(datElementTypeOf("U8"), 0);
  assert.is(datElementTypeOf("U16"), undefined);
});

test("wrong tensors write nothing", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "x.dat");
    const good = tensor("a", 6, [2]);
    refusedWith(await writeDat(file, [good, good]), "a key of its own", '"a"');
    refusedWith(await writeDat(file, [{ ...good, key: "" }]), "a key of its own");
    refusedWith(await writeDat(file, [{ ...good, shape: [3] }]), "12 bytes", "given 8 bytes", "at a");
    refusedWith(openDat(file), "must exist");
  });
});

test("a file that is cut off anywhere is refused, and names a place in it", async () => {
  await inDirectory(async (directory) => {
    const file = join(directory, "x.dat");
    right(
      await writeDat(file, [tensor("a.weight.qdata", 0, [3, 8]), tensor("norm", 5, [4]), tensor("s", 6, [])]),
    );
    const whole = readFileSync(file);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(file, whole.subarray(0, length));
      const [line, ...more] = left(openDat(file));
      assert.equal(more, []);
      const place = /byte (\d+)/.exec(line!);
      assert.ok(place !== null && Number(place[1]) <= length, `${length}: ${line}`);
    }
    writeFileSync(file, Buffer.concat([whole, Buffer.from([0])]));
    refusedWith(openDat(file), "must end behind its last tensor", "1 more bytes behind 3 tensors");
  });
});

test("a real file, cut off or damaged at random, is refused or read within its bounds", async () => {
  const whole = readFileSync(fixture);
  await inDirectory((directory) => {
    const file = join(directory, "x.dat");
    fc.assert(
      fc.property(fc.nat(whole.length - 1), (length) => {
        writeFileSync(file, whole.subarray(0, length));
        assert.ok(Either.isLeft(openDat(file)), `cut to ${length}`);
      }),
      { numRuns: 100 },
    );
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(254), (at, change) => {
        const damaged = Uint8Array.from(whole);
        damaged[at]! ^= change + 1;
        writeFileSync(file, damaged);
        const opened = openDat(file);
        if (Either.isLeft(opened)) return;
        for (const { begin, end } of opened.right.entries) assert.ok(begin <= end && end <= whole.length);
      }),
      { numRuns: 200 },
    );
  });
});

test("counts, lengths, ranks, sizes and types that cannot be are named with key and byte", async () => {
  await inDirectory((directory) => {
    const huge = "\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
    const bytes = (text: string) => [...Buffer.from(text, "latin1")];
    refusedWith(
      openDat(stream(directory, ...bytes("\xff\x7f"), 1, "a")),
      "as many tensors as the count says must fit into the file; given 16383, in 4 bytes",
      "byte 0",
    );
    refusedWith(
      openDat(stream(directory, ...bytes(huge))),
      "the count of tensors must be a number below 2^53",
    );
    refusedWith(openDat(stream(directory, ...bytes("\x80".repeat(12)))), "below 2^53");
    refusedWith(
      openDat(stream(directory, 1, 0, 0, 0, 0, 0)),
      "a key must have from 1 to",
      "given 0",
      "byte 1",
    );
    refusedWith(openDat(stream(directory, 1, 99, "abc", 0, 0, 0)), "a key must have", "given 99", "byte 1");
    refusedWith(openDat(stream(directory, 1, 1, 0xff, 0, 0, 7)), "a key must be UTF-8", "byte 1");
    refusedWith(
      openDat(stream(directory, 1, 3, "a.b", 12, 0, 7)),
      "the element type must be one of 0, 1, 2, 3, 4, 5, 6, 7, 11, 15, 100, 101; given 12",
      "at a.b",
      "byte 5",
    );
    refusedWith(
      openDat(stream(directory, 1, 1, "a", 0, ...bytes("\xc8\x01"), 7)),
      "the rank must be at most 64",
      "given 200",
      "at a",
    );
    refusedWith(
      openDat(stream(directory, 1, 1, "a", 6, 2, ...bytes("\xff\xff\xff\x7f"), ...bytes("\xff\xff\xff\x7f"))),
      "the f32 [268435455, 268435455] must lie in the file",
      "of which 0 are there",
    );
    refusedWith(
      openDat(
        stream(directory, 1, 1, "a", 6, 3, 0, ...bytes("\xff\xff\xff\xff\xff\xff\xff\x0f"), ...bytes(huge)),
      ),
      "a size must be a number below 2^53",
      "at a",
    );
    refusedWith(
      openDat(stream(directory, 2, 1, "a", 0, 0, 7, 1, "a", 0, 0, 7)),
      "each key must be there once",
      "byte 8",
    );
  });
});

test("a directory with one stream is a checkpoint, one with two must say which", async () => {
  const whole = right(openCheckpoint(join(fixtures, "nvfp4/dat")));
  assert.is(whole.kind, "dat");
  assert.equal(whole.files, [fixture]);
  assert.equal(right(openCheckpoint(fixture)).tensors, whole.tensors);
  assert.is(whole.tensors.get("model.embed_tokens.weight")!.dtype, "F16");
  await inDirectory(async (directory) => {
    for (const name of ["a.dat", "b.dat"])
      right(await writeDat(join(directory, name), [tensor("x", 6, [1])]));
    refusedWith(openCheckpoint(directory), "must hold one .dat file", "a.dat, b.dat", "give the path");
    assert.is(right(openCheckpoint(join(directory, "b.dat"))).tensors.size, 1);
  });
});

test.run();
