/** A progress bar on stderr for work that takes long; nothing at all where nobody looks. */
import { Presets, SingleBar } from "cli-progress";

/** Work that is done sooner is not worth a flicker. */
const patience = 400;

export class Progress {
  readonly #began = performance.now();
  readonly #visible = process.stderr.isTTY === true;
  #bar: SingleBar | undefined;

  /** @param label what is being done, in a word or two */
  update(label: string, done: number, total: number): void {
    if (!this.#visible || performance.now() - this.#began < patience) return;
    if (this.#bar === undefined) {
      this.#bar = new SingleBar(
        {
          format: "{label} {bar} {value}/{total}",
          stream: process.stderr,
          clearOnComplete: true,
          hideCursor: true,
        },
        Presets.shades_classic,
      );
      this.#bar.start(total, done, { label });
      return;
    }
    this.#bar.setTotal(total);
    this.#bar.update(done, { label });
  }

  /** Takes the bar off the screen. */
  clear(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
