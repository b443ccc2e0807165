export const TROUBLES: { name: string; run(t: { after(end: () => unknown): void }): Promise<void> }[] = []
