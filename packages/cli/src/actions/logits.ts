export async function logits(..._: unknown[]): Promise<void> {}
