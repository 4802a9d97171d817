/**
 * Steps that are begun before anybody here has seen the tokens they run: the device draws a token at the end of each
 * step and begins the next one with it. Whoever asks for a step names its token; where that is not the one that was
 * drawn, what was begun counts for nothing, and the step is run with the token that was asked for. So the caller's own
 * choice decides, and the device never waits for it.
 */
import { candidatesOutput, drawnToken } from "@weft/compiler";
import { asDrawn, type Engine, type Resident } from "./engine.ts";

export interface AheadOptions {
  /** How the token of an absolute position is drawn, as `Sampler.deviceDraw` gives it. */
  readonly draw: (position: number) => Float32Array;
  /** The most steps that the caller could want behind this one. */
  readonly most: number;
}

/** Where a step stands: index in the cache of its token, tokens dropped before the cache. */
export interface StepPlace {
  readonly past: number;
  readonly dropped: number;
}

interface Begun {
  readonly place: StepPlace;
  readonly candidates: Float32Array;
  readonly drawn: Int32Array;
  readonly done: Promise<void>;
}

export class StepsAhead {
  readonly #engine: Engine;
  readonly #owner: Resident;
  /** Oldest first. */
  #begun: Begun[] = [];
  /** What the step before the oldest one drew: the oldest one's token. */
  #next: number | undefined;
  /** The engine's count when the latest of them was begun. */
  #works = -1;

  constructor(engine: Engine, owner: Resident) {
    this.#engine = engine;
    this.#owner = owner;
  }

  /** What was begun counts for nothing: the cache was changed, or its rows have left the device without these. */
  forget(): void {
    this.#begun = [];
  }

  /**
   * Runs a token, and begins the steps behind it. The token is in the cache when `accept` is called.
   * @returns candidates `[count, valueAndIndex]` for the token that follows
   */
  async step(
    token: number,
    place: StepPlace,
    ahead: AheadOptions,
    accept: () => void,
  ): Promise<Float32Array> {
    // As many as the device takes without waiting for the host: each one more is a step for nothing when the text ends
    // early. What is begun ahead is lost with another one's turn.
    const most = this.#engine.isSharedBy(this.#owner) ? 0 : Math.min(ahead.most, this.#engine.runsAhead - 1);
    const [oldest] = this.#begun;
    const isBegun =
      oldest?.place.past === place.past && oldest.place.dropped === place.dropped && this.#next === token;
    if (!isBegun) {
      this.#begun = [];
      this.#begin(token, place, ahead);
    }
    // Behind somebody else's step the drawn token is theirs.
    while (
      this.#begun.length <= most &&
      place.past + this.#begun.length < this.#engine.capacity &&
      this.#engine.works === this.#works
    ) {
      this.#begin(asDrawn, { ...place, past: place.past + this.#begun.length }, ahead);
    }
    const step = this.#begun.shift()!;
    await step.done;
    // Another context's turn came while its rows were not yet counted.
    if (isBegun && !this.#engine.holds(this.#owner)) return this.step(token, place, ahead, accept);
    this.#next = step.drawn[0];
    accept();
    return step.candidates;
  }

  #begin(token: number, place: StepPlace, { draw }: AheadOptions): void {
    const { width } = this.#engine.outputs.find(({ name }) => name === candidatesOutput)!;
    const candidates = new Float32Array(width);
    const drawn = new Int32Array(1);
    const done = this.#engine.step(this.#owner, {
      tokens: Int32Array.of(token),
      ...place,
      outputs: { [candidatesOutput]: candidates, [drawnToken]: drawn },
      draw: draw(place.dropped + place.past + 1),
    });
    // Of a step that nobody asks for any more, nobody wants to hear.
    done.catch(() => {});
    this.#works = this.#engine.works;
    this.#begun.push({ place, candidates, drawn, done });
  }
}
