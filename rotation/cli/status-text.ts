/** `kms-etcd status` for people. */
import type { ClusterStatus, NamedProvider, ServerStatus, StoredStatus } from "./cluster-status";
import { amount, pairs, short, table } from "./table";

export function statusText(status: ClusterStatus): string {
  const { servers } = status;
  return [
    ...pairs([
      ["cluster", status.cluster],
      ["servers", discoveryText(status)],
      ["engine", engineText(status.engine)],
    ]),
    "",
    ...table(["SERVER", "VERSION", "STATE", "RELOAD", "LOADED", "BY"], servers.map(serverRow)),
    "",
    ...table(
      ["SERVER", "RESOURCES", "PROVIDERS (THE FIRST ENCRYPTS)"],
      servers.flatMap(({ name, blocks }) =>
        blocks.map(({ resources, providers }) => [name, resources.join(", "), providers.map(providerText).join(", ")]),
      ),
    ),
    "",
    ...pluginLines(servers),
    ...("problem" in status.stored
      ? [`what is stored could not be counted: ${status.stored.problem}`]
      : storedLines(status.stored, servers.length)),
    "",
    ...verdict(status),
  ].join("\n");
}

/** A provider as configurations and stored values name it, with the declared key behind it. */
export function providerText({ provider, keyVersion }: NamedProvider): string {
  return keyVersion === undefined ? provider : `${provider} (key version ${keyVersion})`;
}

function discoveryText({ discovery, unlistedServers }: ClusterStatus): string {
  return unlistedServers.length === 0 ? discovery : `${discovery}; live but not listed: ${unlistedServers.join(", ")}`;
}

function engineText(engine: ClusterStatus["engine"]): string {
  if (engine === undefined) return "none at work";
  if ("problem" in engine) return `not known: ${engine.problem}`;
  return `${engine.holder}, since ${engine.since}, last heard of ${engine.renewedAt}`;
}

function serverRow({ name, version, problem, reload, fileHash, loadedHash, basis }: ServerStatus): readonly string[] {
  const loaded = loadedHash === fileHash ? short(loadedHash) : `${short(loadedHash)}, file ${short(fileHash)}`;
  return [name, version || "-", problem ?? "ready", reload === "hot" ? "automatic" : "at start", loaded, basis];
}

function pluginLines(servers: readonly ServerStatus[]): readonly string[] {
  const rows = servers.flatMap(({ name, plugins }) =>
    plugins.map((plugin) => [
      name,
      plugin.keyVersion === undefined ? plugin.name : `${plugin.name} (key version ${plugin.keyVersion})`,
      plugin.problem ?? "healthy",
      plugin.keyId ?? "-",
    ]),
  );
  return rows.length === 0
    ? ["no plugin on any server", ""]
    : [...table(["SERVER", "PLUGIN", "STATE", "KEY ID"], rows), ""];
}

function storedLines({ resources, method, measuredAt }: StoredStatus, servers: number): readonly string[] {
  const rows = resources.flatMap(({ resource, keys, unknown, objects }) => [
    ...keys.map((key) => {
      const { writtenBy } = key;
      const state =
        writtenBy.length === servers
          ? "current"
          : writtenBy.length === 0
            ? "stale"
            : `written by ${writtenBy.join(", ")}`;
      return [resource, providerText(key), key.keyId ?? "-", String(key.objects), state];
    }),
    ...(unknown > 0
      ? [[resource, method === "counted" ? "not looked at" : "not understood", "-", String(unknown), "unknown"]]
      : []),
    ...(objects === 0 ? [[resource, "-", "-", "0", "none stored"]] : []),
  ]);
  const how =
    method === "etcd"
      ? "every stored value was read in etcd"
      : "counted through the API; with which keys objects are stored only verify and rewrite can see without etcd";
  return [...table(["RESOURCE", "STORED WITH", "KEY ID", "OBJECTS", "STATE"], rows), `${how}, ${measuredAt}`];
}

function verdict({ pending, trouble }: ClusterStatus): readonly string[] {
  if (pending.length + trouble.length === 0) return ["in order: every server has loaded its file, nothing is stale"];
  const lines = [...trouble.map((reason) => `mend:    ${reason}`), ...pending.map((reason) => `pending: ${reason}`)];
  return [`not in order, ${amount(lines.length, "reason")}:`, ...lines];
}
