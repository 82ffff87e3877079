import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { CredentialCluster } from "../../core/credential-inputs";
import { KeypairStage } from "../../core/keypair-stage";
import { createKopsRunner, type KopsCommand, type RunKopsCommand } from "../../rotation/adapters/kops/kops-process";
import {
  type DecideKeypairs,
  decideKeypairsBy,
  everyMachineHasWhatTheStoreSays,
  keypairRules,
  newOnesIssue,
} from "../../rotation/adapters/kops-credentials/decide-keypairs";
import type { KeypairGoal } from "../../rotation/adapters/kops-credentials/keypair-decision";
import { createKeypairStore } from "../../rotation/adapters/kops-credentials/keypair-store";
import { createKopsKeypairs } from "../../rotation/adapters/kops-credentials/kops-keypairs";
import { openKeypairs } from "../../rotation/adapters/kops-credentials/open-credentials";
import { type CredentialOutcome, runCredentials } from "../../rotation/adapters/kops-credentials/run-credentials";
import { pythonOrSkip } from "../fakes/kops/machines/python-or-skip";
import { controlPlanesOf, type RealKopsCluster, startRealKopsCluster } from "../fakes/kops/machines/real-kops-cluster";
import { type ClientTrust, whyRefused } from "../fakes/kops/machines/worker";

const never = new AbortController().signal;
const machines = controlPlanesOf(process.env);
const keysets = ["kubernetes-ca", "service-account"];

interface Clients {
  readonly trust?: string;
  readonly use?: string;
}

interface Kubeconfig {
  readonly clusters: { name: string; cluster: Record<string, string> }[];
  /** None where it was exported without credentials. */
  readonly users?: { name: string; user: Record<string, string> }[] | null;
}

/**
 * The rotation of kOps' own keypairs as it is, with `kops rolling-update` and `kops validate` over machines whose API servers have certificates,
 * client CAs and service-account keys of kOps' keysets, and workers whose kubelets and pods live by them. Whoever is not trusted any more
 * by somebody who meets it is noticed, and a worker that is not does not stay ready.
 */
describe("kOps' keypairs with the real kops and machines that live by them", function () {
  this.timeout(60 * 60_000);
  let cluster: RealKopsCluster;
  let closing = async () => {};
  let run: RunKopsCommand;
  const commands: KopsCommand[] = [];

  before(async function () {
    cluster = await startRealKopsCluster({
      python: await pythonOrSkip(this),
      controlPlanes: machines,
      ownCredentials: true,
    });
    closing = cluster.close;
    const plain = createKopsRunner(cluster.program, cluster.environment);
    run = (command) => {
      commands.push(command);
      return plain(command);
    };
  });
  after(() => closing());

  const opened = (goal: KeypairGoal, validationTimeoutSeconds: number) => {
    const { name: clusterName, kubeconfigFile, program } = cluster;
    const rolling = {
      ...{ intervalSeconds: 12, validateCount: 1, drainTimeoutSeconds: 30, postDrainSeconds: 0 },
      validationTimeoutSeconds,
    };
    const place: CredentialCluster = {
      ...{ clusterName, kubeconfigFile, program, rolling, stateStore: cluster.cloud.stateStore },
      recordDirectory: join(cluster.directory, "records"),
    };
    return openKeypairs(place, goal, undefined, never, { run });
  };
  const goalFor = (madeBefore: number, { trust, use }: Clients): KeypairGoal => ({
    ...{ keysets, madeBefore, advanceTo: KeypairStage.Distrust },
    ...{ clientsTrust: trust, clientsUse: use },
  });

  async function rotate(madeBefore: number, clients: Clients = {}) {
    const { store, fleet, kubeconfig } = await opened(goalFor(madeBefore, clients), 600);
    const events: string[] = [];
    const onEvent = ({ message }: { readonly message: string }) => void events.push(message);
    const outcome = await runCredentials({ store, fleet, onEvent, signal: never });
    await cluster.nodes.settled();
    const said = [outcome.reason, ...events, "", ...cluster.nodes.log].join("\n");
    return { ...outcome, said, kubeconfig };
  }

  function waitsFor({ waitingFor }: CredentialOutcome<unknown>, input: string, said: string): string {
    assert.ok(waitingFor !== undefined, said);
    assert.equal(waitingFor.input, input);
    return waitingFor.value;
  }

  const present = () => parse(readFileSync(cluster.kubeconfigFile, "utf8")) as Kubeconfig;
  const put = (config: Kubeconfig) => writeFileSync(cluster.kubeconfigFile, stringify(config), { mode: 0o600 });

  /** What a user does with the outputs: clients keep their address and, where the new text has none, their credentials. */
  function give(text: string): void {
    const { clusters, users } = parse(text) as Kubeconfig;
    const before = present();
    const ca = clusters[0]?.cluster["certificate-authority-data"] ?? assert.fail();
    const [user] = users ?? [];
    put({
      ...before,
      clusters: before.clusters.map((each) => ({
        ...each,
        cluster: { ...each.cluster, "certificate-authority-data": ca },
      })),
      users: (before.users ?? []).map((each) => ({
        ...each,
        user: user?.user["client-key-data"] ? user.user : each.user,
      })),
    });
  }

  function client(config: Kubeconfig): ClientTrust {
    const decode = (data: string | undefined) => Buffer.from(data ?? assert.fail(), "base64").toString("utf8");
    const { "certificate-authority-data": ca, "tls-server-name": servername = "" } =
      config.clusters[0]?.cluster ?? assert.fail();
    const { "client-certificate-data": cert, "client-key-data": key } = config.users?.[0]?.user ?? assert.fail();
    return { ca: decode(ca), servername, cert: decode(cert), key: decode(key) };
  }

  /** Why some machine and this client don't get on. */
  async function refusals(config: Kubeconfig): Promise<readonly string[]> {
    const of = client(config);
    const found = await Promise.all(cluster.nodes.machines().map((machine) => whyRefused(of, machine)));
    return found.flatMap((why) => why ?? []);
  }

  const ids = async () => (await cluster.cloud.instances()).map(({ id }) => id);
  const authorities = ({ ca }: ClientTrust) => ca.match(/BEGIN CERTIFICATE/g)?.length ?? 0;

  it("staged, promoted, distrusted, each with a roll of every machine => nobody is refused by anybody on the way; then the old CA is good for nothing", async () => {
    const since = Date.now();
    const first = present();
    assert.deepEqual(await refusals(first), []);
    let before = await ids();
    const allAreNew = async (what: string) => {
      const after = await ids();
      assert.ok(after.length === before.length && !after.some((id) => before.includes(id)), what);
      before = after;
    };

    const staged = await rotate(since);
    const trust = waitsFor(staged, "clientsTrustKeypair", staged.said);
    await allAreNew("staged");
    give((await staged.kubeconfig(undefined, never)).text);
    assert.equal(authorities(client(present())), 2);

    const promoted = await rotate(since, { trust });
    assert.equal(waitsFor(promoted, "clientsUseKeypair", promoted.said), trust);
    await allAreNew("promoted");
    const machine = cluster.nodes.machines()[0] ?? assert.fail();
    assert.equal(machine.nodeup.KeypairIDs?.["kubernetes-ca"], trust);
    const issuer = new X509Certificate(client(present()).cert ?? "");
    give((await promoted.kubeconfig("1h", never)).text);
    assert.notEqual(new X509Certificate(client(present()).cert ?? "").fingerprint256, issuer.fingerprint256);
    assert.deepEqual(await refusals(present()), []);

    const distrusted = await rotate(since, { trust, use: trust });
    assert.equal(distrusted.kind, "done", distrusted.said);
    await allAreNew("distrusted");
    give((await distrusted.kubeconfig("1h", never)).text);
    assert.equal(authorities(client(present())), 1);
    assert.deepEqual(await refusals(present()), []);
    assert.deepEqual(cluster.nodes.refusals, [], distrusted.said);

    // Who still has the first kubeconfig trusts no API server, and is nobody for them even where it would.
    assert.equal((await refusals(first)).length, machines);
    const untrusted = { ...first, clusters: present().clusters };
    assert.ok((await refusals(untrusted)).every((why) => why.includes("401")));
    assert.equal((await refusals(untrusted)).length, machines);
    await cluster.kops(["validate", "cluster", "--name", cluster.name, "--use-kubeconfig"]);
  });

  it("an engine that promotes before every machine trusts the new CA => a worker meets an API server that it does not trust, and kops' validation ends the roll", async () => {
    const since = Date.now();
    const hasty = keypairRules.filter((rule) => rule !== newOnesIssue);
    hasty.splice(hasty.indexOf(everyMachineHasWhatTheStoreSays), 0, newOnesIssue);
    const wrongly = async (clients: Clients) => {
      const goal = goalFor(since, clients);
      const { fleet } = await opened(goal, 45);
      const keypairs = createKopsKeypairs({ cluster: cluster.name, stateStore: cluster.cloud.stateStore, run });
      const decide: DecideKeypairs = (seen, wanted) => decideKeypairsBy(hasty, seen, wanted);
      const store = createKeypairStore({ goal, settled: undefined, keypairs, fleet, decide });
      return runCredentials({ store, fleet, onEvent: () => undefined, signal: never });
    };
    const before = cluster.nodes.refusals.length;
    const staged = await wrongly({});
    const trust = waitsFor(staged, "clientsTrustKeypair", staged.reason ?? staged.kind);
    // Clients do their part, so that it is the machines alone that are not ready for it.
    const { kubeconfig } = await opened(goalFor(since, {}), 45);
    give((await kubeconfig(undefined, never)).text);
    const outcome = await wrongly({ trust });
    assert.equal(outcome.kind, "blocked", [outcome.reason, ...cluster.nodes.log].join("\n"));
    assert.match(outcome.reason ?? "", /did not validate|is not ready|not valid/);
    assert.match(
      cluster.nodes.refusals.slice(before).join("\n"),
      /the kubelet of \S+ and \S+: the server is not trusted/,
    );
    for (const { args } of commands) assert.ok(!args.includes("--cloudonly"), args.join(" "));
  });
});
