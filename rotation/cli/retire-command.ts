/** `retire` and `reinstate`: what is done to the key of one version, outside of any rotation. */

import { KmsEtcdError } from "../../core/errors";
import { RotationStage } from "../../core/rotation-stage";
import { keyCustodies } from "../adapters/keys/key-custodies";
import type { Cluster } from "../cluster";
import { withEngineLease } from "../engine-lease";
import { custodyOf } from "../key-custody";
import { type RetiringKey, retireKeys } from "../retire-keys";
import { retirementLook } from "../retirement-look";
import { backupsNotLookedAt } from "../snapshot-record";
import { ExitCode } from "./exit-code";
import { type LookContext, type Target, targetOf } from "./look";
import { provenByWriting, writesToProve } from "./run-command";
import type { Settings } from "./settings";
import { busy } from "./terminal";

export interface RetireRequest extends LookContext {
  readonly cluster: Cluster;
  readonly settings: Settings;
  /** A declared version. */
  readonly version: number;
}

/** What needs the key, or another engine at work, is said and makes it `Blocked`. */
export async function retireCommand(request: RetireRequest): Promise<ExitCode> {
  const { cluster, settings, version, terminal, signal } = request;
  const target: Target = await targetOf(cluster, settings, undefined, RotationStage.Prune, request);
  const key = keyOf(settings, version);
  terminal.say(backupsNotLookedAt(settings.etcdSnapshot === undefined ? [] : [settings.etcdSnapshot.directory]));
  if (writesToProve(cluster)) terminal.say(provenByWriting);
  const work = async (working: AbortSignal) => {
    const looking = retirementLook(cluster, target.goal, working);
    const view = await busy(terminal, () => "looking at what needs the key", looking);
    await retireKeys(keyCustodies, [key], view, (message) => terminal.print(message), working);
  };
  const onEvent = (_kind: string, message: string) => terminal.say(message);
  try {
    if (cluster.alone === undefined) await work(signal);
    else await withEngineLease({ ...cluster.alone, signal, onEvent }, work);
    return ExitCode.Ok;
  } catch (thrown) {
    if (!(thrown instanceof KmsEtcdError) || (thrown.code !== "blocked" && thrown.code !== "conflict")) throw thrown;
    terminal.say(`error: ${thrown.message}`);
    if (thrown.remedy !== undefined) terminal.say(`remedy: ${thrown.remedy}`);
    return ExitCode.Blocked;
  }
}

/** Needs no cluster that answers: it is what a restored backup may need first. */
export async function reinstateCommand({ settings, version, terminal, signal }: RetireRequest): Promise<ExitCode> {
  const { plugin } = keyOf(settings, version);
  const custody = custodyOf(keyCustodies, plugin.key);
  if (custody === undefined) {
    throw new KmsEtcdError("unsupported", `this version cannot reinstate ${plugin.key.kind} keys`, {
      remedy: "make the key usable where it lives",
    });
  }
  await custody.reinstate(plugin.key, signal);
  terminal.print(`key version ${version} can be used`);
  return ExitCode.Ok;
}

function keyOf({ keys }: Settings, version: number): RetiringKey {
  const key = keys.find((candidate) => candidate.version === version);
  if (key !== undefined) return key;
  throw new KmsEtcdError("internal", `version ${version} is not declared`);
}
