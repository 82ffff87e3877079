/** The KMS plugins of one host: ours by their manifests, others by the sockets that a configuration names. */
import { basename, join } from "node:path";
import type { EncryptionConfiguration } from "../../../core/encryption-configuration";
import { describeError, KmsEtcdError } from "../../../core/errors";
import type { PluginInstance } from "../../../core/plugin-instance";
import type { Outdated, PluginObservation } from "../../observation";
import { withDeadline } from "../deadline";
import type { FleetHost } from "./fleet-host";
import { type DefinitionFile, definitionFiles } from "./host-manifests";
import { aliasesOf } from "./key-aliases";
import { askPlugin, tryPlugin } from "./kms-socket";
import { unconfirmedManifest } from "./named-keys";
import { outdatedPlugin } from "./plugin-form";
import { isOurPlugin, socketOf } from "./plugin-manifest";

export interface PluginSearch
  extends Pick<FleetHost, "host" | "manifestDirectory" | "systemd" | "pluginManifest" | "backupDirectory"> {
  /** Sockets of our plugins are here. */
  readonly socketDirectory: string;
  /** What the host's API server has on disk or has loaded, with the endpoints of this host. */
  readonly configs: readonly EncryptionConfiguration[];
  /** Plugins whose settings are compared with those that are wanted. @default none */
  readonly declared?: readonly PluginInstance[];
  /** How far the host's clock is ahead of ours, in milliseconds. @default 0 */
  readonly clockAhead?: number;
}

interface Found {
  readonly name: string;
  readonly startedAt: number;
  readonly socketPath: string | undefined;
  readonly apiVersion: "v1" | "v2";
  readonly outdated?: Outdated;
  /** Of one that is not ours: what starts it, as far as that was found. */
  readonly foreign?: { readonly definition: DefinitionFile | undefined };
}

/** A plugin that hangs is a problem of that plugin: it must not make the whole host look away. */
const answerTimeout = 2_000;

export interface SeenPlugins {
  readonly plugins: readonly PluginObservation[];
  /** Names of ours that are written down, and that nobody runs. */
  readonly idlePlugins: readonly string[];
}

/** Asks every plugin at once; `signal` bounds it. Endpoints are this host's. */
export async function observePlugins(search: PluginSearch, signal: AbortSignal): Promise<SeenPlugins> {
  const { found, idlePlugins, unconfirmed } = await findPlugins(search);
  const ahead = search.clockAhead ?? 0;
  const plugins = await Promise.all(
    found.map(async ({ name, startedAt, socketPath, apiVersion, outdated, foreign }): Promise<PluginObservation> => {
      const endpoint = `unix://${socketPath ?? join(search.socketDirectory, `${name}.socket`)}`;
      const seen = { name, endpoint, startedAt: startedAt - ahead, ...(outdated && { outdated }) };
      if (socketPath === undefined) {
        return { ...seen, keyId: undefined, problem: "its manifest names no unix socket to listen on" };
      }
      const asked = withDeadline(signal, answerTimeout, (limited) =>
        askPlugin(search.host, socketPath, apiVersion, limited),
      ).catch((thrown: unknown) => ({ keyId: undefined, problem: describeError(thrown) }));
      // Where it cannot be looked at, the plugin's own answer tells more.
      const looked = search.host.socketMadeAt?.(socketPath).catch((thrown: unknown) => {
        if (!(thrown instanceof KmsEtcdError)) throw thrown;
        return undefined;
      });
      const [answer, madeAt] = await Promise.all([asked, looked]);
      const plugin = { ...seen, ...(madeAt !== undefined && { listeningSince: madeAt - ahead }), ...answer };
      if (foreign === undefined) return plugin;
      const { definition } = foreign;
      if (definition !== undefined && definition.fileName === unconfirmed) {
        const isOld = madeAt !== undefined && madeAt < startedAt;
        if (isOld || answer.problem !== undefined) return { ...plugin, namedByArn: "unproven" };
        const problem = await withDeadline(signal, answerTimeout, (limited) =>
          tryPlugin(search.host, socketPath, apiVersion, limited),
        );
        return { ...plugin, problem, namedByArn: problem === undefined ? "proven" : "unproven" };
      }
      const path = definition && join(search.manifestDirectory, definition.fileName);
      const aliases = aliasesOf(definition, path, search.systemd !== undefined, answer.keyId);
      return aliases.length === 0 ? plugin : { ...plugin, aliases };
    }),
  );
  return { plugins, idlePlugins };
}

interface FoundPlugins {
  readonly found: readonly Found[];
  readonly idlePlugins: readonly string[];
  /** The file in which ARNs have taken the place of aliases, where that is not confirmed yet. */
  readonly unconfirmed: string | undefined;
}

async function findPlugins(search: PluginSearch): Promise<FoundPlugins> {
  const { socketDirectory, configs, declared = [] } = search;
  const ours: Found[] = [];
  const others: DefinitionFile[] = [];
  const files = await definitionFiles(search);
  const idle = await idleUnits(files, search);
  for (const file of files) {
    const { modifiedAt, manifest, fileName } = file;
    if (idle.has(fileName)) continue;
    const { name } = manifest;
    if (!isOurPlugin(manifest)) {
      others.push(file);
      continue;
    }
    const plugin = declared.find((candidate) => candidate.name === name);
    const outdated = plugin && outdatedPlugin(search, plugin, files);
    const found: Found = { name, startedAt: modifiedAt, socketPath: socketOf(manifest), apiVersion: "v2" };
    ours.push(outdated === undefined ? found : { ...found, outdated });
  }
  const foreign = new Map<string, Found>();
  for (const item of configs.flatMap((config) => config.blocks.flatMap((block) => block.providers))) {
    if (item.kind !== "kms") continue;
    const socketPath = item.endpoint.replace(/^unix:\/\//, "");
    // A socket of ours without a manifest is a plugin that is not there; the engine starts it.
    if (socketPath.startsWith(`${socketDirectory}/`) || ours.some((plugin) => plugin.socketPath === socketPath))
      continue;
    const definition = others.find((candidate) => candidate.text.includes(socketPath));
    foreign.set(`${item.apiVersion} ${socketPath}`, {
      name: definition?.manifest.name ?? basename(socketPath),
      startedAt: definition?.modifiedAt ?? 0,
      socketPath,
      apiVersion: item.apiVersion,
      foreign: { definition },
    });
  }
  const unconfirmed = foreign.size === 0 ? undefined : await unconfirmedManifest(search, others);
  const idlePlugins = files.filter(({ fileName }) => idle.has(fileName)).map(({ manifest }) => manifest.name);
  return { found: [...ours, ...foreign.values()], idlePlugins, unconfirmed };
}

/**
 * A kubelet starts whatever lies there. A unit of ours that was written and not started, or stopped and not removed, is no plugin:
 * the engine was cut off in between, and starts or removes it.
 */
async function idleUnits(files: readonly DefinitionFile[], search: PluginSearch): Promise<ReadonlySet<string>> {
  if (search.systemd === undefined) return new Set();
  const ours = files.filter(({ manifest }) => isOurPlugin(manifest)).map(({ fileName }) => fileName);
  const states = await search.systemd.control.states(ours);
  const isIdle = (fileName: string) =>
    states.some(({ unit, activeState, hasJob }) => unit === fileName && activeState === "inactive" && !hasJob);
  return new Set(ours.filter(isIdle));
}
