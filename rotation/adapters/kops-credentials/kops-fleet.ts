/** All machines of a kOps cluster, and what brings a change in the store to them, by the user's own kops. */
import { readInstanceGroup } from "../kops/cluster-spec";
import { createKopsCli } from "../kops/kops-cli";
import { instanceGroupOf, pendingTasks, readDocuments, readInstances } from "../kops/kops-output";
import type { Kops } from "../kops/kops-ports";
import { type KopsResult, kopsFailure, type RunKopsCommand } from "../kops/kops-process";
import type { FleetSeen } from "./fleet-decision";
import type { ForcedRolls } from "./forced-rolls";

/** Every method has a time limit, ends at `signal`, and may be repeated, also after a kill in its middle. */
export interface KopsFleet extends Pick<Kops, "update" | "roll" | "validate"> {
  /** `isApplied`: an update is known to have carried over what is in the store, so kOps is not asked for what it would change. */
  look(isApplied: boolean, signal: AbortSignal): Promise<FleetSeen>;
  /** From now on these must be replaced, whatever kOps says. */
  mark(machines: readonly string[]): Promise<void>;
}

export interface KopsFleetOptions {
  readonly cluster: string;
  readonly stateStore?: string;
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

/** `--name` and `--state`, as every command of kops takes them. */
export function clusterArguments({ cluster, stateStore }: Pick<KopsFleetOptions, "cluster" | "stateStore">) {
  return ["--name", cluster, ...(stateStore === undefined ? [] : ["--state", stateStore])];
}

/** Runs a command and throws what it said when it fails. */
export async function succeed(
  run: RunKopsCommand,
  args: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
  input?: string,
): Promise<KopsResult> {
  const result = await run({ args, timeoutMs, signal, ...(input === undefined ? {} : { input }) });
  if (result.code === 0) return result;
  throw kopsFailure(`kops ${args.slice(0, 2).join(" ")}`, result);
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
        return (await succeed(run, args, limits.read, signal)).stdout;
      };
      const groups = readDocuments(await list(["instancegroups"], []), "kops get instancegroups").map(
        readInstanceGroup,
      );
      const names = groups.map(({ name }) => name);
      const instances = readInstances(await list(["instances"], api));
      const preview = isApplied
        ? ""
        : (await succeed(run, ["update", "cluster", ...where], limits.preview, signal)).stdout;
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
