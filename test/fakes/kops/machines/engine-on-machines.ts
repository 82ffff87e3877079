/** The engine on a real kOps cluster, opened as the Pulumi provider opens it, with kops' own waits made short and every command noted. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type PluginInstance, pluginInstance } from "../../../../core/plugin-instance";
import type { DecideKops } from "../../../../rotation/adapters/kops/decide-kops";
import type { KopsGoal } from "../../../../rotation/adapters/kops/kops-decision";
import type { Kops } from "../../../../rotation/adapters/kops/kops-ports";
import {
  createKopsRunner,
  type KopsCommand,
  type RunKopsCommand,
} from "../../../../rotation/adapters/kops/kops-process";
import { openKopsCluster } from "../../../../rotation/adapters/kops/open-kops-cluster";
import type { KopsOutcome } from "../../../../rotation/adapters/kops/run-kops";
import { runKopsAlone } from "../../../../rotation/adapters/kops/run-kops-alone";
import { kopsGoal } from "../../../rotation/adapters/kops/kops-goals";
import type { RealKopsCluster } from "./real-kops-cluster";

export interface EngineRun extends KopsOutcome {
  /** What the engine said that it does, one line an action. */
  readonly actions: readonly string[];
  readonly events: readonly string[];
}

export interface RunChoices {
  readonly goal?: Partial<KopsGoal>;
  readonly decide?: DecideKops;
  /** Around the port: for what comes between the engine and kops. */
  readonly wrap?: (kops: Kops) => Kops;
  readonly run?: RunKopsCommand;
  /** How long a roll waits for a machine that does not join. */
  readonly validationTimeoutSeconds?: number;
}

export interface EngineOnMachines {
  /** The plugin for the key of this version, a new key of KMS where it is asked for first. */
  plugin(version: number): Promise<PluginInstance>;
  run(version: number | "identity", choices?: RunChoices): Promise<EngineRun>;
  /** Every command that was given to kops. */
  readonly commands: readonly KopsCommand[];
  readonly backupDirectory: string;
}

const never = new AbortController().signal;
/** Longer than a machine here takes to join: kops looks again after half a minute only. */
const joinSeconds = 12;

export function engineOnMachines(cluster: RealKopsCluster): EngineOnMachines {
  const commands: KopsCommand[] = [];
  const plugins: PluginInstance[] = [];
  const plain = createKopsRunner(cluster.program, cluster.environment);
  const backupDirectory = join(cluster.directory, "backups");

  async function plugin(version: number): Promise<PluginInstance> {
    while (plugins.length < version) {
      const keyArn = await cluster.kms.createKey();
      plugins.push(pluginInstance({ kind: "aws", keyArn, region: "us-east-1" }));
    }
    return plugins[version - 1] as PluginInstance;
  }

  async function run(version: number | "identity", choices: RunChoices = {}): Promise<EngineRun> {
    const writer = version === "identity" ? version : await plugin(version);
    const goal = kopsGoal("identity", { writer, declared: plugins, ...choices.goal });
    const inner = choices.run ?? plain;
    const opened = await openKopsCluster(
      {
        clusterName: cluster.name,
        stateStore: cluster.cloud.stateStore,
        program: cluster.program,
        kubeconfigFile: cluster.kubeconfigFile,
        machineAddress: "Internal",
        plugin: { image: "registry.example/kms-etcd-plugin:1", flavour: "KmsEtcd" },
        backupDirectory,
        rolling: {
          ...{ intervalSeconds: joinSeconds, validateCount: 1, drainTimeoutSeconds: 30, postDrainSeconds: 0 },
          validationTimeoutSeconds: choices.validationTimeoutSeconds ?? 600,
        },
      },
      never,
      {
        run(command) {
          commands.push(command);
          return inner(command);
        },
      },
    );
    const events: string[] = [];
    const actions: string[] = [];
    const began = Date.now();
    try {
      const outcome = await runKopsAlone({
        ...opened,
        // Runs of a test come one after the other, in one process: who else holds the Lease was killed.
        alone: { ...opened.alone, identity: { ...opened.alone.identity, isAlive: () => false } },
        kops: choices.wrap?.(opened.kops) ?? opened.kops,
        goal,
        ...(choices.decide !== undefined && { decide: choices.decide }),
        onEvent({ kind, message, stage }) {
          if (kind === "progress") return;
          events.push(`${Math.round((Date.now() - began) / 1_000)} s ${stage} ${kind}: ${message}`);
          if (kind === "action") actions.push(message.replace(/:.*/, ""));
        },
        signal: never,
      });
      return { ...outcome, actions, events };
    } finally {
      await opened.close();
    }
  }

  return { plugin, run, commands, backupDirectory };
}

/** Fails with what engine and machines said where the run did not end well. */
export function assertDone({ nodes }: RealKopsCluster, { kind, reason, events }: EngineRun): void {
  assert.equal(kind, "done", [reason, ...events, "", ...nodes.log].join("\n"));
}

/** Every machine has this plugin, and no other. */
export function assertOnlyPlugin({ nodes }: RealKopsCluster, { name }: PluginInstance): void {
  for (const machine of nodes.machines()) {
    assert.deepEqual(
      machine.pods.map((pod) => pod.name),
      [name],
    );
  }
}
