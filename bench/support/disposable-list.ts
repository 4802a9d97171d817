/** Several disposables as one: Node 20 has no DisposableStack. */
export class DisposableList<A extends Disposable> implements Disposable {
  readonly all: readonly A[];

  constructor(all: readonly A[]) {
    this.all = all;
  }

  [Symbol.dispose](): void {
    for (const one of this.all) one[Symbol.dispose]();
  }
}
