/** The stored comparison with Hugging Face transformers: small differences, and made from the present fixtures. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fixtures } from "../support/models.ts";
import { oracleNames } from "./oracle.ts";

interface Comparison {
  readonly versions: Readonly<Record<string, string>>;
  readonly fixtures: Readonly<Record<string, FixtureComparison>>;
}

interface FixtureComparison {
  /** SHA-256 of each file that was compared. */
  readonly files: Readonly<Record<string, string>>;
  readonly logits: number;
  readonly states: Readonly<Record<string, number>>;
  readonly loss: number;
  readonly greedyEqual: boolean;
}

const tolerance = 1e-4;
const again = "run test/parity/with_transformers.py --write again";
const stored = JSON.parse(readFileSync(join(import.meta.dirname, "transformers.json"), "utf8")) as Comparison;

test("every fixture was compared, with known versions", () => {
  assert.equal(Object.keys(stored.fixtures), [...oracleNames]);
  for (const name of ["python", "torch", "transformers"]) assert.match(stored.versions[name]!, /^\d+\.\d+/);
});

for (const name of oracleNames) {
  const { files, logits, states, loss, greedyEqual } = stored.fixtures[name]!;

  test(`${name}: the comparison is of the present files`, () => {
    assert.equal(Object.keys(files), ["config.json", "model.safetensors", "oracle.json"]);
    for (const [file, hash] of Object.entries(files)) {
      const present = createHash("sha256")
        .update(readFileSync(join(fixtures, name, file)))
        .digest("hex");
      assert.is(present, hash, `${name}/${file} has changed: ${again}`);
    }
  });

  test(`${name}: transformers and the oracle agree`, () => {
    const differences = { logits, loss, ...states };
    assert.is(Object.keys(states).length, 5);
    for (const [what, difference] of Object.entries(differences)) {
      assert.ok(difference <= tolerance, `${what} differs by ${difference}`);
    }
    assert.ok(greedyEqual);
  });
}

test.run();
