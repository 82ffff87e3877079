export async function addCompanions(_companions: Readonly<Record<string, string>>, _bin: string): Promise<void> {}
