/** Losses of several runs in one picture, by Vega. */
import { writeFileSync } from "node:fs";
import { parse, type Spec, View } from "vega";
import type { Score } from "../../examples/quickstart/ask.ts";

export interface Learnt {
  /** How weights were kept. */
  readonly way: string;
  /** Mean cross entropy in nats of each update. */
  readonly losses: readonly number[];
  /** The mean of the last updates. */
  readonly finalLoss: number;
  /** Answers to questions that were never shown, by the exported checkpoint. */
  readonly scores: readonly Score[];
  /** Of weights, their blocks and the optimizer, as the device has them. */
  readonly bytes: number;
}

/** Each point is the mean of so many updates. */
const together = 10;

export async function writePicture(file: string, runs: readonly Learnt[]): Promise<void> {
  const points = runs.flatMap(({ way, losses }) =>
    Array.from({ length: Math.floor(losses.length / together) }, (_, index) => {
      const part = losses.slice(index * together, (index + 1) * together);
      return { way, step: (index + 1) * together, loss: part.reduce((sum, one) => sum + one, 0) / together };
    }),
  );
  const view = new View(parse(specOf(points)), { renderer: "none" });
  try {
    writeFileSync(file, await view.toSVG());
  } finally {
    view.finalize();
  }
}

const specOf = (points: readonly object[]): Spec => ({
  $schema: "https://vega.github.io/schema/vega/v6.json",
  background: "white",
  padding: 10,
  width: 640,
  height: 320,
  data: [{ name: "points", values: [...points] }],
  scales: [
    { name: "x", type: "linear", range: "width", domain: { data: "points", field: "step" }, zero: false },
    // Losses fall by three powers of ten: by their logarithm the end is seen as well as the beginning.
    { name: "y", type: "log", range: "height", domain: { data: "points", field: "loss" }, nice: true },
    { name: "colour", type: "ordinal", range: "category", domain: { data: "points", field: "way" } },
  ],
  axes: [
    { orient: "bottom", scale: "x", title: "update" },
    { orient: "left", scale: "y", title: "loss, nats", grid: true },
  ],
  legends: [{ stroke: "colour", symbolType: "stroke", title: "weights" }],
  marks: [
    {
      type: "group",
      from: { facet: { name: "curve", data: "points", groupby: "way" } },
      marks: [
        {
          type: "line",
          from: { data: "curve" },
          encode: {
            update: {
              x: { scale: "x", field: "step" },
              y: { scale: "y", field: "loss" },
              stroke: { scale: "colour", field: "way" },
            },
          },
        },
      ],
    },
  ],
});
