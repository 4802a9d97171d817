/** The arena over the steps: each buffer a rectangle from its first step to its last, at its place in bytes. */
import { element } from "./dom.ts";
import { bytes } from "./format.ts";
import type { Buffer, Life } from "./model.ts";
import type { State } from "./state.ts";
import { VirtualList } from "./virtual-list.ts";

interface BufferRow {
  readonly buffer: Buffer;
  readonly life: Life | undefined;
}

const canvasColours = [
  "text",
  "dim",
  "line",
  "gone",
  "buffer",
  "buffer-over",
  "linked-strong",
  "selected-strong",
] as const;
type Colour = (name: (typeof canvasColours)[number]) => string;

const left = 64;
const bottom = 20;
const top = 8;
const right = 10;

/** Of any number of values: a call has fewer arguments than a large plan has steps. */
const largest = (values: readonly number[]) => values.reduce((most, one) => Math.max(most, one), 0);

export class Memory {
  readonly root = element("div", { class: "memory" });
  readonly #state: State;
  readonly #note = element("div", { class: "column-note" });
  readonly #canvas = element("canvas", {
    class: "timeline",
    attributes: { "aria-label": "memory over the steps", role: "img" },
  });
  readonly #list: VirtualList<BufferRow>;
  #rows: readonly BufferRow[] = [];

  constructor(state: State) {
    this.#state = state;
    this.#list = new VirtualList<BufferRow>({
      label: "buffers",
      rowHeight: 20,
      draw: (row) => this.#drawRow(row),
      onChoose: ({ buffer }) => state.select({ kind: "buffer", buffer: buffer.index }),
    });
    const timeline = element("div", { class: "timeline-box" }, this.#canvas);
    this.root.append(this.#note, element("div", { class: "memory-body" }, timeline, this.#list.root));
    this.#canvas.addEventListener("click", (event) => this.#onClick(event));
    this.#canvas.addEventListener("mousemove", (event) => {
      const hit = this.#lifeAt(event.offsetX, event.offsetY);
      const buffer = hit === undefined ? undefined : this.#state.model.buffers[hit.buffer];
      this.#canvas.title =
        buffer === undefined
          ? ""
          : `${state.model.bufferText(buffer)}\n${bytes(buffer.bytes)}, steps ${hit!.first} to ${hit!.last}`;
    });
    new ResizeObserver(() => this.draw()).observe(timeline);
    state.onChange((changed) => {
      if (changed.has("program")) this.#show();
      else if (changed.has("selection")) {
        this.#list.redraw();
        const { selection } = state.shown;
        const own = this.#rows.findIndex(({ buffer }) =>
          selection?.kind === "buffer"
            ? buffer.index === selection.buffer
            : state.links.buffers.has(buffer.index),
        );
        this.#list.reveal(own);
        this.draw();
      }
    });
    this.#show();
  }

  #show(): void {
    const { model, program } = this.#state;
    const { memory } = program.view;
    const lives = new Map(program.lives.map((life) => [life.buffer, life]));
    const used = new Set(program.steps.flatMap((step) => step.buffers));
    const order = ["activations", "state", "input", "output", "weights"];
    this.#rows = model.buffers
      .filter(({ index }) => used.has(index))
      .map((buffer) => ({ buffer, life: lives.get(buffer.index) }))
      .toSorted(
        (a, b) =>
          order.indexOf(a.buffer.kind) - order.indexOf(b.buffer.kind) ||
          (a.life?.first ?? 0) - (b.life?.first ?? 0) ||
          a.buffer.index - b.buffer.index,
      );
    this.#list.show(this.#rows);
    const arenas = Object.entries(model.view.arenas).map(([name, size]) => `${name} ${bytes(size)}`);
    const peak = largest(memory.alive);
    const step = memory.alive.indexOf(peak);
    this.#note.textContent = `activations of ${program.view.name}: arena ${bytes(memory.bytes)}, peak ${bytes(peak)}${step < 0 ? "" : ` at step ${step}`}; plan: ${arenas.join(", ")}`;
    this.draw();
  }

  draw(): void {
    const box = this.#canvas.parentElement!;
    const [width, height] = [box.clientWidth, box.clientHeight];
    if (width === 0 || height === 0) return;
    const scale = window.devicePixelRatio;
    this.#canvas.width = width * scale;
    this.#canvas.height = height * scale;
    const context = this.#canvas.getContext("2d")!;
    context.scale(scale, scale);
    const colour = coloursNow();
    const { program, links, shown } = this.#state;
    const { alive } = program.view.memory;
    this.#axes(context, width, height, colour);
    const chosen = shown.selection?.kind === "buffer" ? shown.selection.buffer : -1;
    for (const life of program.lives) {
      const at = this.#rectangle(life, width, height);
      const isLinked = links.buffers.has(life.buffer);
      context.fillStyle =
        life.buffer === chosen
          ? colour("selected-strong")
          : isLinked
            ? colour("linked-strong")
            : colour(life.over >= 0 ? "buffer-over" : "buffer");
      context.fillRect(at.x, at.y, Math.max(1, at.width - 0.5), Math.max(1, at.height - 0.5));
    }
    // What is alive in all, as a line over the rectangles.
    context.strokeStyle = colour("text");
    context.lineWidth = 1.2;
    context.beginPath();
    alive.forEach((size, step) => {
      const [x, end] = [this.#x(step, width), this.#x(step + 1, width)];
      const y = this.#y(size, height);
      context.lineTo(x, y);
      context.lineTo(end, y);
    });
    context.stroke();
    this.#markSteps(context, width, height, colour);
  }

  #axes(context: CanvasRenderingContext2D, width: number, height: number, colour: Colour): void {
    const { bytes: all, alive } = this.#state.program.view.memory;
    context.font = "10px system-ui, sans-serif";
    context.fillStyle = colour("dim");
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    for (const part of [0, 0.25, 0.5, 0.75, 1]) {
      const y = this.#y(all * part, height);
      context.beginPath();
      context.moveTo(left, y);
      context.lineTo(width - right, y);
      context.stroke();
      context.textAlign = "right";
      context.fillText(bytes(Math.round(all * part)), left - 6, y + 3);
    }
    const steps = alive.length;
    const every = niceStep(steps / Math.max(1, (width - left) / 70));
    context.textAlign = "center";
    for (let step = 0; step < steps; step += every)
      context.fillText(String(step), this.#x(step + 0.5, width), height - 6);
    const peak = largest(alive);
    const at = alive.indexOf(peak);
    if (at < 0 || peak === 0) return;
    context.strokeStyle = colour("gone");
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(left, this.#y(peak, height));
    context.lineTo(width - right, this.#y(peak, height));
    context.stroke();
    context.setLineDash([]);
  }

  /** Steps that belong to the selection, on the axis. */
  #markSteps(context: CanvasRenderingContext2D, width: number, height: number, colour: Colour): void {
    context.fillStyle = colour("selected-strong");
    for (const step of this.#state.links.steps) {
      const x = this.#x(step, width);
      context.fillRect(x, height - bottom + 1, Math.max(1, this.#x(step + 1, width) - x - 0.5), 3);
    }
  }

  #x(step: number, width: number): number {
    const steps = Math.max(1, this.#state.program.steps.length);
    return left + ((width - left - right) * step) / steps;
  }

  #y(size: number, height: number): number {
    const all = Math.max(1, this.#state.program.view.memory.bytes);
    return height - bottom - ((height - bottom - top) * size) / all;
  }

  #rectangle(life: Life, width: number, height: number) {
    const { offset, bytes: size } = this.#state.model.buffers[life.buffer]!;
    const [x, y] = [this.#x(life.first, width), this.#y(offset + size, height)];
    return {
      x,
      y,
      width: this.#x(life.last + 1, width) - x,
      height: this.#y(offset, height) - y,
    };
  }

  /** A buffer that lies over another one is in front of it, so the last wins. */
  #lifeAt(x: number, y: number): Life | undefined {
    const { clientWidth, clientHeight } = this.#canvas.parentElement!;
    return this.#state.program.lives.findLast((life) => {
      const at = this.#rectangle(life, clientWidth, clientHeight);
      return x >= at.x && x < at.x + Math.max(1, at.width) && y >= at.y && y < at.y + Math.max(1, at.height);
    });
  }

  #onClick(event: MouseEvent): void {
    const life = this.#lifeAt(event.offsetX, event.offsetY);
    if (life !== undefined) this.#state.select({ kind: "buffer", buffer: life.buffer });
  }

  #drawRow({ buffer, life }: BufferRow): HTMLElement {
    const { selection } = this.#state.shown;
    const made = element("div", {
      class: "buffer",
      title: this.#state.model.bufferText(buffer),
      attributes: { "data-buffer": String(buffer.index) },
    });
    if (this.#state.links.buffers.has(buffer.index)) made.classList.add("linked");
    if (selection?.kind === "buffer" && selection.buffer === buffer.index) made.classList.add("selected");
    made.append(
      element("span", { class: "kind", text: buffer.kind }),
      element("span", { class: "name", text: buffer.name }),
      element("span", { class: "dim", text: life === undefined ? "" : `${life.first}–${life.last}` }),
      element("span", { class: "time", text: bytes(buffer.bytes) }),
    );
    return made;
  }
}

/** Colours of the style sheet as they are in this theme: a canvas knows nothing of variables. */
function coloursNow(): Colour {
  const probe = element("span");
  document.body.append(probe);
  const known = new Map<string, string>();
  for (const name of canvasColours) {
    probe.style.color = `var(--${name})`;
    known.set(name, getComputedStyle(probe).color);
  }
  probe.remove();
  return (name) => known.get(name) ?? "";
}

/** 1, 2 or 5 times a power of ten, at least `least`. */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= least) ?? power * 10;
}
