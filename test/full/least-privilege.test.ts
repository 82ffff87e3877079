import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { parse, parseAllDocuments, stringify } from "yaml";
import { stateLayout } from "../../control-plane/state-layout";
import { closeCluster } from "../../rotation/cluster";
import { planRotation } from "../../rotation/plan";
import { runRotationAlone } from "../../rotation/run-alone";
import { snippets } from "../docs/markdown";
import { type RealCluster, realCluster } from "../e2e/support/real-cluster";
import { type SshCluster, sshCluster } from "../e2e/support/ssh-cluster";
import { skipFor } from "../support/skip-for";
import { whyNoSshServer } from "../support/ssh-server";

interface Role {
  readonly kind: "ClusterRole" | "Role";
  readonly metadata: { readonly name: string };
  readonly rules: readonly { readonly resources?: readonly string[]; readonly verbs: readonly string[] }[];
}

const namespace = "kube-system";
const never = new AbortController().signal;

/** Two ServiceAccounts with what docs/permissions.md says that an engine and a preview need, on API servers that authorize by RBAC. */
describe("the engine with no more rights than the documents ask for", function () {
  this.timeout(20 * 60_000);
  let cluster: RealCluster;
  let ssh: SshCluster;
  const closing: (() => Promise<unknown>)[] = [];

  before(async function () {
    skipFor(whyNoSshServer(), this);
    cluster = await realCluster({ automaticReload: false, hosts: 2 });
    closing.push(() => cluster.close());
    await cluster.createSecrets(10);
    ssh = await sshCluster(cluster);
    closing.push(() => ssh.close());
  });
  after(async () => {
    for (const close of closing.reverse()) await close();
  });

  async function make(path: string, body: object): Promise<string> {
    const made = await cluster.request(0, "POST", path, body);
    assert.equal(made.status, 201, `${path}: ${made.text}`);
    return made.text;
  }

  /** A kubeconfig of a ServiceAccount of that name, bound to these roles. */
  async function identity(name: string, roles: readonly Role[]): Promise<string> {
    const rbac = "/apis/rbac.authorization.k8s.io/v1";
    await make(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name } });
    for (const role of roles) {
      const scope = role.kind === "Role" ? `${rbac}/namespaces/${namespace}` : rbac;
      await make(`${scope}/${role.kind.toLowerCase()}s`, { ...role, metadata: { ...role.metadata, name } });
      await make(`${scope}/${role.kind.toLowerCase()}bindings`, {
        metadata: { name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: role.kind, name },
        subjects: [{ kind: "ServiceAccount", name, namespace }],
      });
    }
    const request = { spec: { audiences: [], expirationSeconds: 3_600 } };
    const answer = await make(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, request);
    const { token } = (JSON.parse(answer) as { status: { token: string } }).status;
    const admin = readFileSync(stateLayout(cluster.controlPlane.stateDirectory).kubeconfigFile, "utf8");
    const kubeconfig = parse(admin) as { users: { name: string; user: object }[] };
    return stringify({ ...kubeconfig, users: kubeconfig.users.map((user) => ({ ...user, user: { token } })) });
  }

  function documented(): readonly Role[] {
    const text = snippets("docs/permissions.md", "yaml").find((snippet) =>
      snippet.text.includes("kms-etcd-engine"),
    )?.text;
    return parseAllDocuments(text ?? "").map((document) => document.toJS() as Role);
  }

  const through = (kubeconfig: string) => ({
    kubernetes: { ...ssh.described.kubernetes, kubeconfig },
  });

  it("a preview without the right to write, and without the Role => the whole plan, and nothing that could not be asked", async () => {
    const readOnly = documented()
      .filter(({ kind }) => kind === "ClusterRole")
      .map((role) => ({
        ...role,
        rules: role.rules.map((rule) => ({ ...rule, verbs: rule.verbs.filter((verb) => verb !== "patch") })),
      }));
    const opened = await ssh.open(through(await identity("preview", readOnly)));
    try {
      const { fleet, stored } = opened;
      const goal = { ...cluster.goal(1), servers: opened.servers };
      const plan = await planRotation({ goal, fleet, stored, signal: never });
      assert.equal(plan.blocked, undefined);
      assert.ok(plan.stages.length >= 5, JSON.stringify(plan.stages.map(({ stage }) => stage)));
      assert.doesNotMatch(JSON.stringify(plan), /forbidden/i);
    } finally {
      await closeCluster(opened);
    }
  });

  it("a rotation with the whole of it, the Lease included => done and proven, nothing was forbidden", async () => {
    const opened = await ssh.open(through(await identity("engine", documented())));
    const said: string[] = [];
    try {
      const { fleet, stored, alone } = opened;
      const goal = { ...cluster.goal(1), servers: opened.servers };
      const onEvent = ({ message }: { readonly message: string }) => said.push(message);
      const outcome = await runRotationAlone({ goal, fleet, stored, onEvent, signal: never }, alone);
      assert.equal(outcome.kind, "done", `${outcome.reason}; ${outcome.remedy}\n${said.join("\n")}`);
      assert.equal(outcome.evidence.complete, true);
      // A server that starts reads the roles last.
      assert.deepEqual(
        said.filter((line) => /forbidden/i.test(line) && !line.startsWith("waiting for ")),
        [],
      );
      assert.ok(alone, "a Lease keeps a second engine out");
    } finally {
      await closeCluster(opened);
    }
  });

  it("without `patch` => no Secret is written again, the reason names the right, and the old key stays readable", async () => {
    const roles = documented().map((role) => ({
      ...role,
      metadata: { name: "short" },
      rules: role.rules.map((rule) => ({ ...rule, verbs: rule.verbs.filter((verb) => verb !== "patch") })),
    }));
    const opened = await ssh.open(through(await identity("short", roles)));
    try {
      const { fleet, stored, alone } = opened;
      const goal = { ...cluster.goal(2), servers: opened.servers };
      const outcome = await runRotationAlone({ goal, fleet, stored, onEvent: () => undefined, signal: never }, alone);
      assert.equal(outcome.kind, "blocked");
      assert.match(outcome.reason ?? "", /cannot patch resource|forbidden/i);
      assert.deepEqual(Object.keys(await cluster.storedProviders()), [cluster.providerOf(1)]);
    } finally {
      await closeCluster(opened);
    }
  });
});
