export async function bench(..._: unknown[]): Promise<void> {}
