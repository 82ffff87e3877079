/** What every command of kops has in common: which cluster in which store, and what a failure is told as. */
import { type KopsCommand, type KopsResult, kopsFailure, type RunKopsCommand } from "./kops-process";

/** Which cluster. */
export interface KopsPlace {
  readonly cluster: string;
  /** `s3://bucket`; absent: as the environment has it. */
  readonly stateStore?: string;
}

/** `--name` and `--state`, as every command of kops takes them. */
export function clusterArguments({ cluster, ...place }: KopsPlace): readonly string[] {
  return ["--name", cluster, ...storeArguments(place)];
}

/** For commands that read the cluster's name from a document. */
export function storeArguments({ stateStore }: Pick<KopsPlace, "stateStore">): readonly string[] {
  return stateStore === undefined ? [] : ["--state", stateStore];
}

/** Runs a command and throws what it said when it fails. `what` is what it is called then: its first two words where that is not given. */
export async function succeed(
  run: RunKopsCommand,
  { what, ...command }: KopsCommand & { readonly what?: string },
): Promise<KopsResult> {
  const result = await run(command);
  if (result.code === 0) return result;
  throw kopsFailure(what ?? `kops ${command.args.slice(0, 2).join(" ")}`, result);
}

/** The text of one of kOps' secrets; undefined: there is none. */
export async function readSecret(
  run: RunKopsCommand,
  place: KopsPlace,
  secret: string,
  limits: Pick<KopsCommand, "timeoutMs" | "signal">,
): Promise<string | undefined> {
  const args = ["get", "secrets", secret, ...clusterArguments(place), "-o", "plaintext"];
  const result = await run({ args, ...limits });
  if (result.code === 0) return result.stdout.replace(/\n$/, ""); // kOps prints one line end of its own
  if (result.stderr.includes("no secrets found")) return undefined;
  throw kopsFailure("kops get secrets", result);
}
