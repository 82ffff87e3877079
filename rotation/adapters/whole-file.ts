/** Writes a file so that it is there as a whole or not at all, also after a crash in the middle. */
import { open, rename } from "node:fs/promises";

/** For its owner alone. `unfinished` is where it is written first: beside it, a name that no other run uses. */
export async function writeWholeFile(file: string, unfinished: string, text: string): Promise<void> {
  const handle = await open(unfinished, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
}
