/**
 * What the stand-in for kops does with a command: a strict reader of the arguments that the adapter may give, over a simulated cluster. What
 * it prints has the form of kops 1.36.2 (test/full/kops-moto.test.ts runs the real one); an argument that it does not know fails.
 */
import type { KopsCluster } from "../../../../rotation/adapters/kops/cluster-spec";
import type { KopsResult } from "../../../../rotation/adapters/kops/kops-process";
import type { SimulatedKops } from "../../../rotation/adapters/kops/simulated-kops";

export interface KopsCall {
  readonly args: readonly string[];
  readonly input?: string;
  /** Process id of whoever has started the program. */
  readonly parent: number;
}

/** What the cluster is called, and where a machine answers. */
export interface StandInPlace {
  readonly cluster: string;
  readonly stateStore: string;
  addressOf(machine: string): string;
}

const valued = [
  ...["--name", "--state", "-o", "-f", "--instance-group", "--wait", "--count", "--control-plane-interval"],
  ...["--node-interval", "--drain-timeout", "--post-drain-delay", "--validation-timeout", "--validate-count"],
];
const flags = ["--yes", "--force", "--create-kube-config=false", "--short"];
const never = new AbortController().signal;

export async function answerKops(
  world: SimulatedKops,
  place: StandInPlace,
  { args, input }: KopsCall,
): Promise<KopsResult> {
  const said = (stdout: string): KopsResult => ({ code: 0, stdout, stderr: "" });
  const json = (value: unknown) => said(`${JSON.stringify(value)}\n`);
  const refused = (stderr: string, code = 1): KopsResult => ({ code, stdout: "", stderr: `Error: ${stderr}\n` });
  const words: string[] = [];
  const given = new Map<string, string>();
  for (let index = 0; index < args.length; index += 1) {
    const word = args[index] ?? "";
    if (valued.includes(word)) given.set(word, args[(index += 1)] ?? "");
    else if (flags.includes(word)) given.set(word, "true");
    else if (word.startsWith("-")) return refused(`unknown flag: ${word}`);
    else words.push(word);
  }
  const command = words.join(" ");
  const { kops, state } = world;
  if (command === "version") return said("1.36.2\n");
  if (given.get("--state") !== place.stateStore) return refused("State Store: Required value");
  if (command !== "replace" && given.get("--name") !== place.cluster) return refused("cluster not found");
  switch (command) {
    case "get cluster":
      return json(state.cluster);
    case "get instancegroups":
      return json(
        world.groups.map(({ name, role }) => ({ kind: "InstanceGroup", metadata: { name }, spec: { role } })),
      );
    case "get secrets encryptionconfig":
      return state.secret === undefined ? refused("no secrets found") : said(`${state.secret}\n`);
    case "get instances":
      return json(
        state.machines.map((machine) => ({
          id: machine.name,
          instanceGroup: `${machine.group}.masters.${place.cluster}`,
          status: world.needsUpdate(machine) ? "NeedsUpdate" : "UpToDate",
          roles: ["control-plane"],
          internalIP: place.addressOf(machine.name),
          externalIP: "",
        })),
      );
    case "replace":
      await kops.putCluster(
        { cluster: JSON.parse(input ?? "") as KopsCluster, expected: state.cluster, before: [] },
        never,
      );
      return said("");
    case "create secret encryptionconfig":
      if (state.secret !== undefined && !given.has("--force")) {
        return refused("failed to create the encryptionconfig secret as it already exists. Pass the --force flag");
      }
      await kops.putSecret({ text: input ?? "", expectedHash: world.presentHash(), mayGoBack: false }, never);
      return said("");
    case "update cluster":
      return update(given.has("--yes"));
    case "rolling-update cluster": {
      if (!given.has("--yes")) return said("Must specify --yes to rolling-update.\n");
      const failure = await kops.roll(given.get("--instance-group") ?? "", given.has("--force"), never);
      if (failure === undefined) return said("Rolling update completed.\n");
      return refused(
        failure.notJoined ? `error validating cluster after terminating instance: ${failure.reason}` : failure.reason,
      );
    }
    case "validate cluster": {
      const failure = await kops.validate(never);
      const failures = failure === undefined ? {} : { failures: [{ kind: "Node", name: "machine", message: failure }] };
      // A document for each look, with nothing between them.
      const stdout = JSON.stringify({ ...failures, nodes: [{ name: "machine" }] }).repeat(2);
      return { code: failure === undefined ? 0 : 2, stdout, stderr: "" };
    }
    default:
      return refused(`unknown command ${JSON.stringify(command)}`);
  }

  async function update(yes: boolean): Promise<KopsResult> {
    if (state.cluster.spec.encryptionConfig === true && state.secret === undefined) {
      return refused("could not find encryptionconfig secret");
    }
    if (yes) {
      await kops.update(never);
      return said("Cluster changes have been applied to the cloud.\n");
    }
    const tasks = (world.tasks() ?? []).flatMap((task) => [`  ${task}`, "  \tContents            \tx"]);
    if (tasks.length === 0) return said("No changes need to be applied\n");
    return said(["Will modify resources:", ...tasks, "", "Must specify --yes to apply changes", ""].join("\n"));
  }
}
