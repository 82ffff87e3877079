/**
 * Ports for a plugin's pod, which shares its host's network with everything else there. They begin where the upstream plugins'
 * own manifests do; the next instance has the next ones, and an instance that is there keeps those that it has.
 */
import type { PluginPorts } from "../../../core/plugin-static-pod";
import type { Manifest } from "./manifest";

/** `others` are the host's other manifests, `own` the plugin's own where it is there. Deterministic. */
export function pluginPorts(first: PluginPorts, others: readonly Manifest[], own: Manifest | undefined): PluginPorts {
  const taken = new Set(others.flatMap((manifest) => [...portsOf(manifest)]));
  const mine = own === undefined ? new Set<number>() : portsOf(own);
  const choose = (from: number, except: number | undefined): number => {
    const kept = [...mine].find((port) => port >= from && port < from + range && port !== except && !taken.has(port));
    if (kept !== undefined) return kept;
    let port = from;
    while (taken.has(port) || port === except) port += 1;
    return port;
  };
  const health = choose(first.health, undefined);
  return { health, metrics: choose(first.metrics, health) };
}

/** No host runs as many plugins; the two kinds of ports stay apart. */
const range = 200;

/** Every number that may be a port: one too many does no harm. */
function portsOf(manifest: Manifest): ReadonlySet<number> {
  const inArguments = manifest.arguments.flatMap((argument) =>
    [...argument.matchAll(/[=:](\d{2,5})(?=$|[/,])/g)].map(([, digits]) => Number(digits)),
  );
  return new Set([...manifest.ports, ...inArguments]);
}
