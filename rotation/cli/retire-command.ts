/** `retire` and `reinstate`: what is done to the key of one version, outside of any rotation. */

import { KmsEtcdError } from "../../core/errors";
import { RotationStage } from "../../core/rotation-stage";
import { keyCustodies } from "../adapters/keys/key-custodies";
import type { Cluster } from "../cluster";
import { type HeldLease, withEngineLease } from "../engine-lease";
import { custodyOf } from "../key-custody";
import { refuseWithoutLease } from "../key-work";
import { type RetiringKey, retireKeys } from "../retire-keys";
import { retirementLook } from "../retirement-look";
import { backupsNotLookedAt } from "../snapshot-record";
import { ExitCode } from "./exit-code";
import { jsonText } from "./json-text";
import { type LookContext, type Target, targetOf } from "./look";
import { provenByWriting, writesToProve } from "./run-command";
import type { Settings } from "./settings";
import { busy } from "./terminal";

export interface RetireRequest extends LookContext {
  readonly cluster: Cluster;
  readonly settings: Settings;
  /** A declared version. */
  readonly version: number;
  readonly json: boolean;
  readonly breakLease?: boolean;
  readonly withoutLease?: boolean;
}

/** What needs the key, or another engine at work, is said and makes it `Blocked`. */
export async function retireCommand(request: RetireRequest): Promise<ExitCode> {
  const { cluster, settings, version, terminal, signal } = request;
  const target: Target = await targetOf(cluster, settings, undefined, RotationStage.Prune, request);
  const key = keyOf(settings, version);
  terminal.say(backupsNotLookedAt(settings.etcdSnapshot === undefined ? [] : [settings.etcdSnapshot.directory]));
  if (writesToProve(cluster)) terminal.say(provenByWriting);
  const work = async (working: AbortSignal, held?: HeldLease) => {
    refuseWithoutLease(held);
    const looking = retirementLook(cluster, target.goal, working);
    const view = await busy(terminal, () => "looking at what needs the key", looking);
    // The look may have taken minutes.
    refuseWithoutLease(held);
    const said: string[] = [];
    await retireKeys(keyCustodies, [key], view, (message) => said.push(message), working);
    terminal.print(request.json ? jsonText(document(ExitCode.Ok)) : said.join("\n"));
  };
  const onEvent = (_kind: string, message: string) => terminal.say(message);
  const document = (exitCode: ExitCode, reason?: string, remedy?: string) => {
    const outcome = exitCode === ExitCode.Ok ? "done" : "blocked";
    return { command: "retire", version, outcome, exitCode, reason, remedy };
  };
  const { breakLease = false, withoutLease = false } = request;
  try {
    if (cluster.alone === undefined) await work(signal);
    else await withEngineLease({ ...cluster.alone, breakLease, withoutLease, signal, onEvent }, work);
    return ExitCode.Ok;
  } catch (thrown) {
    if (!(thrown instanceof KmsEtcdError) || (thrown.code !== "blocked" && thrown.code !== "conflict")) throw thrown;
    const { message, remedy } = thrown;
    terminal.say(`error: ${message}`);
    if (remedy !== undefined) terminal.say(`remedy: ${remedy}`);
    if (request.json) terminal.print(jsonText(document(ExitCode.Blocked, message, remedy)));
    return ExitCode.Blocked;
  }
}

/** Needs no cluster that answers: it is what a restored backup may need first. */
export async function reinstateCommand({
  settings,
  version,
  terminal,
  signal,
  json,
}: RetireRequest): Promise<ExitCode> {
  const { plugin } = keyOf(settings, version);
  const custody = custodyOf(keyCustodies, plugin.key);
  if (custody === undefined) {
    throw new KmsEtcdError("unsupported", `this version cannot reinstate ${plugin.key.kind} keys`, {
      remedy: "make the key usable where it lives",
    });
  }
  await custody.reinstate(plugin.key, signal);
  const done = { command: "reinstate", version, outcome: "done", exitCode: ExitCode.Ok, reason: null, remedy: null };
  terminal.print(json ? jsonText(done) : `key version ${version} can be used`);
  return ExitCode.Ok;
}

function keyOf({ keys }: Settings, version: number): RetiringKey {
  const key = keys.find((candidate) => candidate.version === version);
  if (key !== undefined) return key;
  throw new KmsEtcdError("internal", `version ${version} is not declared`);
}
