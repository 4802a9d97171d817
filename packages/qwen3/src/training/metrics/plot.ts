/**
 * The curves of a run as an SVG picture, by Vega: it draws to text without a browser, a canvas or a DOM, and is kept by
 * the group that made it.
 */
import { renameSync, writeFileSync } from "node:fs";
import * as Either from "fp-ts/lib/Either.js";
import type { Spec } from "vega";
import { type Checked, messageOf, refuse } from "../../config/problems.ts";
import type { StepMetrics } from "./metrics-file.ts";

/** More points than a picture has pixels say nothing more: each is the mean of its neighbours then. */
const mostPoints = 800;

interface Point {
  readonly curve: string;
  readonly step: number;
  readonly value: number;
}

/** Writes loss and held-out loss, learning rate, gradient norm and tokens per second over the steps. */
export async function writeCurves(file: string, metrics: readonly StepMetrics[]): Promise<Checked<void>> {
  // Loaded here: nobody who generates text should wait for it.
  const { parse, View } = await import("vega");
  const view = new View(parse(curvesSpec(metrics)), { renderer: "none" });
  try {
    const svg = await view.toSVG();
    writeFileSync(`${file}.tmp`, svg);
    renameSync(`${file}.tmp`, file);
    return Either.right(undefined);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    return refuse(file, "must be writable", {
      given: messageOf(error),
      remedy: "check the free space and permissions",
    });
  } finally {
    view.finalize();
  }
}

const panels = [
  { title: "loss", curves: ["training", "held out"] },
  { title: "learning rate", curves: ["learning rate"] },
  { title: "gradient norm", curves: ["gradient norm"] },
  { title: "tokens/s", curves: ["tokens/s"] },
] as const;

const width = 640;
const height = 150;
const gap = 50;

function curvesSpec(metrics: readonly StepMetrics[]): Spec {
  const points = [
    ...thinned("training", metrics, ({ loss }) => loss),
    ...thinned("held out", metrics, ({ evaluationLoss }) => evaluationLoss),
    ...thinned("learning rate", metrics, ({ learningRate }) => learningRate),
    ...thinned("gradient norm", metrics, ({ gradientNorm }) => gradientNorm),
    ...thinned("tokens/s", metrics, ({ tokensPerSecond }) => tokensPerSecond),
  ];
  const shown = panels.filter(({ curves }) =>
    points.some(({ curve }) => (curves as readonly string[]).includes(curve)),
  );
  return {
    $schema: "https://vega.github.io/schema/vega/v6.json",
    background: "white",
    padding: 10,
    width,
    height: shown.length * (height + gap) - gap,
    data: shown.map(({ title, curves }) => ({
      name: title,
      values: points.filter(({ curve }) => (curves as readonly string[]).includes(curve)),
    })),
    scales: [
      { name: "colour", type: "ordinal", domain: ["training", "held out"], range: ["#1f77b4", "#d62728"] },
    ],
    legends:
      shown[0]?.title === "loss" ? [{ stroke: "colour", orient: "top-right", symbolType: "stroke" }] : [],
    marks: shown.map(({ title, curves }, index) => panel(title, curves, index)),
  };
}

function panel(title: string, curves: readonly string[], index: number): NonNullable<Spec["marks"]>[number] {
  return {
    type: "group",
    encode: {
      update: { y: { value: index * (height + gap) }, width: { value: width }, height: { value: height } },
    },
    title: { text: title, anchor: "start" },
    scales: [
      { name: "x", type: "linear", range: [0, width], domain: { data: title, field: "step" }, zero: false },
      {
        name: "y",
        type: "linear",
        range: [height, 0],
        domain: { data: title, field: "value" },
        nice: true,
        zero: false,
      },
    ],
    axes: [
      { orient: "bottom", scale: "x", title: "step", tickMinStep: 1 },
      { orient: "left", scale: "y", grid: true, tickCount: 5 },
    ],
    marks: [
      {
        type: "group",
        from: { facet: { name: `${title} curve`, data: title, groupby: "curve" } },
        marks: [
          {
            type: "line",
            from: { data: `${title} curve` },
            encode: {
              update: {
                x: { scale: "x", field: "step" },
                y: { scale: "y", field: "value" },
                stroke: curves.length > 1 ? { scale: "colour", field: "curve" } : { value: "#1f77b4" },
              },
            },
          },
        ],
      },
    ],
  };
}

function thinned(
  curve: string,
  metrics: readonly StepMetrics[],
  value: (one: StepMetrics) => number | null | undefined,
): Point[] {
  const points = metrics.flatMap((one): Point[] => {
    const given = value(one);
    return typeof given === "number" ? [{ curve, step: one.step, value: given }] : [];
  });
  const size = Math.ceil(points.length / mostPoints);
  if (size <= 1) return points;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, index) => {
    const group = points.slice(index * size, (index + 1) * size);
    const mean = (of: (point: Point) => number) =>
      group.reduce((sum, point) => sum + of(point), 0) / group.length;
    return { curve, step: mean(({ step }) => step), value: mean(({ value }) => value) };
  });
}
