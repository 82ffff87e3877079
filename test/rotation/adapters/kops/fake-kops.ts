/**
 * Stands in for the kops program: a strict reader of the arguments that the adapter may give, over a store in memory. What it prints has
 * the form of kops 1.36.2 (test/full/kops-moto.test.ts runs the real one). Arguments that it does not know fail, as kops' own parser does.
 */
import type { KopsCluster } from "../../../../rotation/adapters/kops/cluster-spec";
import type { KopsCommand, KopsResult, RunKopsCommand } from "../../../../rotation/adapters/kops/kops-process";

export interface FakeKops {
  readonly run: RunKopsCommand;
  readonly commands: KopsCommand[];
  readonly state: {
    cluster: KopsCluster;
    secret: string | undefined;
    /** Tasks that an update would carry out. */
    pending: string[];
    instances: readonly Record<string, unknown>[];
    /** Whether an update has been carried out before: it makes them. */
    hasKeypairs: boolean;
    /** What `kops version` says. */
    version: string;
    /** Failures of validation. */
    failures: readonly { readonly message: string }[];
  };
  /** The next command whose arguments contain the text fails with this on standard error. */
  fail(text: string, stderr: string): void;
}

const name = "e2e.k8s.local";
const valued = ["--name", "--state", "-o", "-f", "--instance-group", "--wait", "--count"];
const flags = ["--yes", "--force", "--create-kube-config=false", "--use-kubeconfig", "--short"];

export function fakeKops(cluster: KopsCluster): FakeKops {
  const commands: KopsCommand[] = [];
  const failures: { text: string; stderr: string }[] = [];
  const state: FakeKops["state"] = {
    ...{ cluster, secret: undefined, pending: [], instances: [], failures: [] },
    hasKeypairs: true,
    version: "1.36.2",
  };
  const group = { kind: "InstanceGroup", metadata: { name: "control-plane-a" }, spec: { role: "ControlPlane" } };

  function answer({ args, input }: KopsCommand): KopsResult {
    const said = (stdout: string): KopsResult => ({ code: 0, stdout, stderr: "" });
    const refused = (stderr: string): KopsResult => ({ code: 1, stdout: "", stderr: `Error: ${stderr}\n` });
    const words: string[] = [];
    const given = new Map<string, string>();
    for (let index = 0; index < args.length; index += 1) {
      const word = args[index] ?? "";
      if (valued.includes(word)) given.set(word, args[(index += 1)] ?? "");
      else if (flags.includes(word)) given.set(word, "true");
      else if (word.startsWith("-")) return refused(`unknown flag: ${word}`);
      else words.push(word);
    }
    const failing = failures.findIndex(({ text }) => args.join(" ").includes(text));
    if (failing >= 0) return refused(failures.splice(failing, 1)[0]?.stderr ?? "");
    const command = words.join(" ");
    if (command !== "version" && command !== "replace" && given.get("--name") !== name)
      return refused("--name is required");
    switch (command) {
      case "version":
        return said(`${state.version}\n`);
      case "get cluster":
        return said(JSON.stringify(state.cluster));
      case "get instancegroups":
        return said(
          JSON.stringify([group, { kind: "InstanceGroup", metadata: { name: "nodes-a" }, spec: { role: "Node" } }]),
        );
      case "get secrets encryptionconfig":
        return state.secret === undefined ? refused("no secrets found") : said(`${state.secret}\n`);
      case "get instances":
        // kops makes itself a certificate for the API, by an authority that is not there yet.
        if (!state.hasKeypairs) return refused("cannot find CA certificate");
        return said(JSON.stringify(state.instances));
      case "get keypairs":
        return state.hasKeypairs
          ? said(JSON.stringify([{ id: "1", name: "kubernetes-ca" }]))
          : refused("no keypairs found");
      case "replace":
        state.cluster = JSON.parse(input ?? "") as KopsCluster;
        return said("");
      case "create secret encryptionconfig":
        if (state.secret !== undefined && !given.has("--force"))
          return refused("failed to create the encryptionconfig secret as it already exists. Pass the --force flag");
        state.secret = input;
        return said("");
      case "update cluster":
        if (given.has("--yes")) state.pending = [];
        return said(
          ["Will modify resources:", ...state.pending.map((task) => `  ${task}\n  \tUserData            \tx`), ""].join(
            "\n",
          ),
        );
      case "rolling-update cluster":
        return said("");
      case "validate cluster":
        // One document for each look, with nothing between them; a cluster that is well names its nodes alone.
        if (state.failures.length === 0)
          return said(JSON.stringify({ nodes: [{ name: "i-1" }] }).repeat(Number(given.get("--count") ?? 1)));
        return { code: 2, stdout: JSON.stringify({ failures: state.failures, nodes: [] }).repeat(3), stderr: "" };
      default:
        return refused(`unknown command "${command}"`);
    }
  }

  return {
    commands,
    state,
    fail: (text, stderr) => void failures.push({ text, stderr }),
    run: async (command) => {
      commands.push(command);
      return answer(command);
    },
  };
}
