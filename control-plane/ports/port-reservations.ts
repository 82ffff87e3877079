/**
 * Which ports a control plane uses. Chosen once and kept while it is stopped, so the control planes of one user on this
 * machine keep a common list, under a lock: two that start at once, or one that starts while another is down, do not meet.
 */
import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { KmsEtcdError } from "../../core/errors";
import { cacheDirectory } from "../../tools/cache-directory";
import { withLock } from "../../tools/file-lock";
import { readFileIfAny, writeFileAtomically } from "../atomic-file";
import { portOwner } from "./port-owner";

/** Below the ports that Linux and macOS hand out to outgoing connections, above what servers commonly use. */
const lowestPort = 20_000;
const highestPort = 31_999;

/** State directory by port. */
type Reservations = Record<string, string>;

/** Reserves `given` ports and free ones for the entries that are undefined. Throws `conflict` for a given one that is taken. */
export async function reservePorts(
  stateDirectory: string,
  given: readonly (number | undefined)[],
): Promise<readonly number[]> {
  const directory = join(cacheDirectory(), "ports");
  return withLock(directory, async () => {
    const file = join(directory, "reservations.json");
    const recorded = JSON.parse((await readFileIfAny(file)) ?? "{}") as Reservations;
    const reservations: Reservations = Object.fromEntries(
      Object.entries(recorded).filter(([, owner]) => owner !== stateDirectory && existsSync(owner)),
    );
    const chosen: number[] = [];
    for (const port of given) {
      if (port !== undefined) await requireFreePort(port);
      const next =
        port ?? (await freePort((candidate) => !(String(candidate) in reservations) && !given.includes(candidate)));
      reservations[String(next)] = stateDirectory;
      chosen.push(next);
    }
    await writeFileAtomically(file, `${JSON.stringify(reservations, undefined, 2)}\n`);
    return chosen;
  });
}

/** Throws `conflict`, naming the port and whoever has it. */
export async function requireFreePort(port: number): Promise<void> {
  const code = await bindError(port);
  if (code === undefined) return;
  if (code === "EACCES") {
    throw new KmsEtcdError("permission-denied", `port ${port} of 127.0.0.1 may not be used by this user`, {
      remedy: "give another port",
    });
  }
  const owner = await portOwner(port);
  throw new KmsEtcdError("conflict", `port ${port} of 127.0.0.1 is taken${owner === undefined ? "" : ` by ${owner}`}`, {
    remedy: "end that process or give another port",
  });
}

async function freePort(acceptable: (port: number) => boolean): Promise<number> {
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    const port = randomInt(lowestPort, highestPort + 1);
    if (acceptable(port) && (await bindError(port)) === undefined) return port;
  }
  throw new KmsEtcdError("conflict", `no free port between ${lowestPort} and ${highestPort} was found`, {
    remedy: "clean control planes that are not used any more",
  });
}

function bindError(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
