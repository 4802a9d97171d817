export async function generate(..._: unknown[]): Promise<void> {}
