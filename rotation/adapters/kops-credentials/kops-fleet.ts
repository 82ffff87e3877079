/** All machines of a kOps cluster, and what brings a change in the store to them, by the user's own kops. */
import { readInstanceGroup } from "../kops/cluster-spec";
import { createKopsCli } from "../kops/kops-cli";
import { clusterArguments, type KopsPlace, succeed } from "../kops/kops-commands";
import { instanceGroupOf, pendingTasks, readDocuments, readInstances } from "../kops/kops-output";
import type { Kops } from "../kops/kops-ports";
import type { RunKopsCommand } from "../kops/kops-process";
import type { FleetSeen } from "./fleet-decision";
import type { ForcedRolls } from "./forced-rolls";

/** Every method has a time limit, ends at `signal`, and may be repeated, also after a kill in its middle. */
export interface KopsFleet extends Pick<Kops, "update" | "roll" | "validate"> {
  /** `isApplied`: an update is known to have carried over what is in the store, so kOps is not asked for what it would change. */
  look(isApplied: boolean, signal: AbortSignal): Promise<FleetSeen>;
  /** From now on these must be replaced, whatever kOps says. */
  mark(machines: readonly string[]): Promise<void>;
}

export interface KopsFleetOptions extends KopsPlace {
  readonly run: RunKopsCommand;
  readonly forcedRolls: ForcedRolls;
  /** Whether a task of `kops update cluster` carries a change of these credentials over. */
  readonly isPending: (task: string) => boolean;
  /** How kops reaches the Kubernetes API. */
  readonly apiArguments?: readonly string[];
  readonly rollArguments?: readonly string[];
}

const minute = 60_000;
const limits = { read: 2 * minute, preview: 15 * minute };

/** Tasks that change what some group's new machines get. */
export function changesMachines(task: string): boolean {
  return task.startsWith("ManagedFile/nodeupconfig-") || task.startsWith("LaunchTemplate/");
}

export function createKopsFleet(options: KopsFleetOptions): KopsFleet {
  const { cluster, run, forcedRolls } = options;
  const where = clusterArguments(options);
  const api = options.apiArguments ?? [];
  // Its commands for machines are the ones that are needed here; nothing of it looks at API servers or keeps secrets then.
  const { update, roll, validate } = createKopsCli({
    ...options,
    machines: { look: async () => [], strangers: async () => [] },
    backups: { keep: async () => undefined, all: async () => new Map() },
  });

  return {
    update,
    roll,
    validate,
    async look(isApplied, signal) {
      const list = async (what: readonly string[], more: readonly string[]) => {
        const args = ["get", ...what, ...where, ...more, "-o", "json"];
        return (await succeed(run, { args, timeoutMs: limits.read, signal })).stdout;
      };
      const groups = readDocuments(await list(["instancegroups"], []), "kops get instancegroups").map(
        readInstanceGroup,
      );
      const names = groups.map(({ name }) => name);
      const instances = readInstances(await list(["instances"], api));
      const asked = { args: ["update", "cluster", ...where], timeoutMs: limits.preview, signal };
      const preview = isApplied ? "" : (await succeed(run, asked)).stdout;
      return {
        groups: groups.map(({ name, role }) => ({ name, role })),
        machines: instances.map(({ id, group, needsUpdate }) => ({
          name: id,
          group: instanceGroupOf(group, names, cluster) ?? group,
          needsUpdate,
        })),
        pending: pendingTasks(preview).some(options.isPending),
        mustGo: await forcedRolls.read(),
      };
    },
    mark: (machines) => forcedRolls.write(machines),
  };
}
