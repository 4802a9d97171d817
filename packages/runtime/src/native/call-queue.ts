/** Calls in order: each begins when those before it are done, or beside them where both allow it. */

/** Calls of one kind may be under way together, up to `most` of them. */
export interface CallKind {
  readonly name: string;
  readonly most: number;
}

const alone: CallKind = { name: "", most: 1 };

export class CallQueue {
  #underWay = 0;
  /** Of the calls under way. */
  #kind = alone;
  /** A call is being begun: what it calls itself (a getter of its arguments) is behind it. */
  #isBeginning = false;
  readonly #waiting: { readonly kind: CallKind; readonly begin: () => void }[] = [];

  /** Whether a call that is added now begins at once. */
  canBegin(kind = alone): boolean {
    return this.#waiting.length === 0 && this.#admits(kind);
  }

  /** A call that can begin does so before this function returns. */
  add<T>(call: () => Promise<T>, kind = alone): Promise<T> {
    if (this.canBegin(kind)) return this.#begin(call, kind);
    return new Promise((resolve) => {
      this.#waiting.push({ kind, begin: () => resolve(this.#begin(call, kind)) });
    });
  }

  #admits(kind: CallKind): boolean {
    if (this.#isBeginning) return false;
    if (this.#underWay === 0) return true;
    return kind.name === this.#kind.name && this.#underWay < Math.min(kind.most, this.#kind.most);
  }

  #begin<T>(call: () => Promise<T>, kind: CallKind): Promise<T> {
    this.#underWay++;
    this.#kind = kind;
    this.#isBeginning = true;
    const result = call();
    this.#isBeginning = false;
    const settled = () => {
      this.#underWay--;
      while (this.#waiting.length > 0 && this.#admits(this.#waiting[0]!.kind)) this.#waiting.shift()!.begin();
    };
    result.then(settled, settled);
    return result;
  }
}
