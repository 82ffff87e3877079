/** The plugins on a simulated cluster's hosts: kubelets start them anew a while after their manifests change, and no engine may rush that. */
import type { PluginObservation } from "../../rotation/observation";
import type { SimulatedHost, SimulatedPlugin } from "./simulated-host";

export interface SimulatedPluginsOptions {
  readonly hosts: readonly SimulatedHost[];
  readonly now: () => number;
  /** The image that is wanted. One that is called broken never answers. */
  readonly wantedImage: () => string;
  readonly log: string[];
  readonly broken: (rule: string) => never;
}

const kubeletDelay = 5_000;

export function answers(plugin: SimulatedPlugin | undefined): boolean {
  const runs = plugin?.runs !== undefined && plugin.runs.image !== "broken";
  return runs && !plugin.broken && !plugin.socketMissing;
}

export function simulatePlugins({ hosts, now, wantedImage, log, broken }: SimulatedPluginsOptions) {
  return {
    /** A kubelet looks at its manifests now and then: until it has, the process of before answers. */
    restart(target: SimulatedHost): void {
      for (const [name, plugin] of target.plugins) {
        if (plugin.runs?.image === plugin.image || now() < plugin.startedAt + kubeletDelay) continue;
        plugin.runs = { image: plugin.image, since: now() };
        log.push(`${now()} ${target.name} runs ${name} with the image ${plugin.image}`);
      }
    },

    /** As an engine sees them, which from now on can know who answers. */
    seen: (target: SimulatedHost): PluginObservation[] =>
      [...target.plugins].map(([name, plugin]) => {
        plugin.answered = answers(plugin);
        return {
          name,
          endpoint: `unix:///run/${name}.socket`,
          startedAt: plugin.startedAt,
          ...(plugin.runs && { listeningSince: plugin.runs.since }),
          ...(plugin.image !== wantedImage() && { outdated: { differences: ["image"], isEdited: false } }),
          keyId: plugin.answered ? plugin.material : undefined,
          problem: plugin.answered ? undefined : "socket does not answer",
        };
      }),

    /** A manifest is written: one at a time, and of one that answers only while all others do, as far as an engine can know. */
    write(target: SimulatedHost, name: string, made: Pick<SimulatedPlugin, "material" | "former">): void {
      const present = target.plugins.get(name);
      if (present?.image === wantedImage()) return;
      if (present !== undefined) checkReplacement(target, name, present);
      target.plugins.set(name, {
        ...made,
        // A process that has begun in this very instant is of the manifest before.
        startedAt: Math.max(now(), (present?.runs?.since ?? 0) + 1),
        image: wantedImage(),
        runs: present?.runs,
        answered: present?.answered === true,
        broken: present?.broken ?? false,
        socketMissing: false,
      });
    },
  };

  function checkReplacement(target: SimulatedHost, name: string, present: SimulatedPlugin): void {
    const others = hosts.flatMap((host) => {
      const plugin = host === target ? undefined : host.plugins.get(name);
      return plugin === undefined ? [] : [{ host, plugin }];
    });
    const pending = others.find(({ plugin: { runs, image } }) => runs !== undefined && runs.image !== image);
    if (pending !== undefined)
      broken(`invariant 3: ${name} is replaced on ${target.name} before ${pending.host.name} runs what it was given`);
    const away = others.find(({ plugin }) => !plugin.answered);
    if (present.answered && away !== undefined)
      broken(`invariant 3: ${name} is replaced on ${target.name} while that of ${away.host.name} is away`);
  }
}
