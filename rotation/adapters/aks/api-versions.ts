/**
 * Which version of Azure's API a cluster is read and written with. A PUT replaces, and a version that does not know a field neither shows it
 * nor sends it back. So it is the version that this package was made for, unless a newer one shows more of this very cluster.
 */
import { KmsEtcdError } from "../../../core/errors";
import type { ArmBody, ArmClient } from "../azure/arm-client";
import { isRecord, listAt, textAt } from "./arm-values";
import { dataEncryptionApiVersion } from "./kms-settings";

const providersApiVersion = "2021-04-01";

type Versions = Pick<ArmClient, "get">;

/**
 * The first one that shows everything of the cluster that any of them shows; `pinned` where it does, or where nothing else can
 * be asked. Throws `blocked` where none does: a PUT with any of them would lose something.
 */
export async function versionThatShowsAll(
  client: Versions,
  id: string,
  pinned: string,
  signal: AbortSignal,
  onProgress: (message: string) => void,
): Promise<string> {
  const candidates = await candidatesFor(client, id, pinned, signal, onProgress);
  const look = () => shownBy(client, id, pinned, candidates, signal);
  let shown = await look();
  // The cluster may have changed between two reads.
  if (completeOf(shown) === undefined) shown = await look();
  const chosen = completeOf(shown);
  const all = allOf(shown);
  if (chosen === undefined) {
    const missing = [...shown].map(([version, paths]) => {
      const [first = ""] = [...all].filter((path) => !paths.has(path));
      return `${version} does not show ${first}`;
    });
    throw new KmsEtcdError("blocked", `no version of Azure's API shows all of the cluster: ${missing.join(", ")}`, {
      remedy:
        "a PUT would lose what is not shown: use a newer version of this package, or take those settings off the cluster",
    });
  }
  const [more] = [...all].filter((path) => shown.get(pinned)?.has(path) !== true);
  if (chosen !== pinned && more !== undefined) {
    onProgress(
      `version ${pinned} of Azure's API does not show ${more}, so ${chosen} is used: nothing of the cluster is lost`,
    );
  }
  return chosen;
}

type Shown = ReadonlyMap<string, ReadonlySet<string>>;

function allOf(shown: Shown): ReadonlySet<string> {
  return new Set([...shown.values()].flatMap((paths) => [...paths]));
}

function completeOf(shown: Shown): string | undefined {
  const { size } = allOf(shown);
  return [...shown].find(([, paths]) => paths.size === size)?.[0];
}

async function shownBy(
  client: Versions,
  id: string,
  pinned: string,
  candidates: readonly string[],
  signal: AbortSignal,
): Promise<Shown> {
  const shown = new Map<string, ReadonlySet<string>>();
  for (const version of candidates) {
    const paths = await client.get(id, version, signal).then(pathsOf, (thrown: unknown) => {
      if (version === pinned || !(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") throw thrown;
      return undefined;
    });
    if (paths !== undefined) shown.set(version, paths);
  }
  return shown;
}

/** In the order in which they are preferred: what was tried with this package, then what is stable, then the newest. */
async function candidatesFor(
  client: Versions,
  id: string,
  pinned: string,
  signal: AbortSignal,
  onProgress: (message: string) => void,
): Promise<readonly string[]> {
  const listed = await listedVersions(client, id, signal).catch((thrown: unknown) => {
    if (!(thrown instanceof KmsEtcdError) || thrown.code === "cancelled") throw thrown;
    onProgress(
      "which versions of its API Azure has could not be asked, so the newest one of this package is the newest",
    );
    return [];
  });
  const newer = listed.filter((version) => version > pinned).sort();
  const stable = newer.findLast((version) => !version.endsWith("-preview"));
  const wanted = [pinned, stable, dataEncryptionApiVersion, newer.at(-1)];
  // Whoever uses KMS data encryption is not seen whole by a version without it, which comes out by itself.
  return [...new Set(wanted.filter((version) => version !== undefined && version >= pinned))] as readonly string[];
}

async function listedVersions(client: Versions, id: string, signal: AbortSignal): Promise<readonly string[]> {
  const [, subscription = ""] = /^(\/subscriptions\/[^/]+)\//i.exec(id) ?? [];
  const path = `${subscription}/providers/Microsoft.ContainerService`;
  const provider = await client.get(path, providersApiVersion, signal);
  const type = listAt(provider, "resourceTypes").find(
    (entry) => textAt(entry, "resourceType")?.toLowerCase() === "managedclusters",
  );
  return listAt(type, "apiVersions").filter((version) => typeof version === "string");
}

/** Names of everything that has a value. What a list has is told apart by its place. */
function pathsOf(body: ArmBody | undefined): ReadonlySet<string> {
  const found = new Set<string>();
  const walk = (value: unknown, path: string): void => {
    if (value === null || value === undefined) return;
    if (path !== "") found.add(path);
    const entries = Array.isArray(value) ? [...value.entries()] : isRecord(value) ? Object.entries(value) : [];
    for (const [name, inner] of entries) walk(inner, path === "" ? String(name) : `${path}.${name}`);
  };
  walk(body, "");
  return found;
}
