import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { startControllerManager, storageVersionMigration } from "../../control-plane/controller-manager";
import { type LoneEtcd, startLoneEtcd } from "../../control-plane/lone-etcd";
import { pkiFiles } from "../../control-plane/pki/control-plane-pki";
import { stateLayout } from "../../control-plane/state-layout";
import type { KmsEtcdError } from "../../core/errors";
import { RewriteMethod } from "../../core/rewrite-method";
import type { HostsFleet } from "../../rotation/adapters/hosts/hosts-fleet";
import { createLocalFleet, createLocalStoredObjects } from "../../rotation/adapters/hosts/local-fleet";
import { apiClient } from "../../rotation/adapters/kubernetes/api-client";
import { migrateInTree } from "../../rotation/adapters/kubernetes/in-tree-migration";
import { discoverResources } from "../../rotation/adapters/kubernetes/resources";
import { createStoredObjects } from "../../rotation/adapters/kubernetes/stored-objects";
import type { ObjectFailure } from "../../rotation/observation";
import { rewriteWarnings } from "../../rotation/plan-warnings";
import { rewriteForecast } from "../../rotation/rewrite-forecast";
import type { StoredObjects } from "../../rotation/stored-objects";
import { type AdmissionServer, admissionServer } from "./support/admission-server";
import { type AsUser, asUser } from "./support/as-user";
import { type RealCluster, realCluster } from "./support/real-cluster";

const signal = new AbortController().signal;
const quiet = () => undefined;
/** Another prefix than Kubernetes' own: the engine finds it in the API server's flags. */
const prefix = "/other";
const encrypted = ["secrets", "pandas.example.com", "events"];

/** One API server with the cluster's own migration, another --etcd-prefix, and an etcd of their own for events. */
describe("what stands in the way of a rewrite, on a real control plane", function () {
  this.timeout(300_000);
  let cluster: RealCluster;
  let fleet: HostsFleet;
  let stored: StoredObjects;
  let eventsEtcd: LoneEtcd;
  let webhook: AdmissionServer;
  const keys = ["a", "b"].map((name) => ({
    kind: "secretbox" as const,
    keys: [{ name, secret: randomBytes(32).toString("base64") }],
  }));

  before(async () => {
    cluster = await realCluster({
      hosts: 1,
      automaticReload: false,
      apiServerArguments: [...storageVersionMigration.apiServerArguments, `--etcd-prefix=${prefix}`],
    });
    fleet = createLocalFleet(cluster.controlPlane);
    stored = createLocalStoredObjects(cluster.controlPlane, fleet, "etcd");
    webhook = await admissionServer();
    await giveEventsTheirOwnEtcd();
    await changeKey();
    await createObjects();
  });
  after(async () => {
    await Promise.all([stored.close(), fleet.close(), webhook.close()]);
    await cluster.close();
    await eventsEtcd.stop();
  });

  const layout = () => stateLayout(cluster.controlPlane.stateDirectory);
  const host = () => cluster.controlPlane.hosts[0] ?? assert.fail();

  async function giveEventsTheirOwnEtcd(): Promise<void> {
    const { etcdServer, etcdAdministrator } = pkiFiles(layout());
    const directory = join(cluster.directory, "events-etcd");
    mkdirSync(directory);
    eventsEtcd = await startLoneEtcd({ directory, tls: etcdServer, client: etcdAdministrator });
    const file = join(host().manifestDirectory, host().apiServerManifest);
    const text = readFileSync(file, "utf8");
    const flag = "- --authorization-mode=RBAC\n";
    const override = `- --etcd-servers-overrides=/events#${eventsEtcd.endpoint}\n`;
    writeFileSync(file, text.replace(flag, flag + " ".repeat(8) + override));
  }

  /** Waits for the restart too, which is what makes this server read its configuration. */
  async function changeKey(): Promise<string> {
    keys.reverse();
    const look = async () => (await fleet.observe(signal)).servers[0];
    const config = {
      blocks: [{ resources: encrypted, providers: [...keys, { kind: "identity" as const }] }],
    };
    const present = await look();
    await fleet.writeConfig({ server: "cp1", expectedHash: present?.file?.hash, config });
    await fleet.restart("cp1");
    for (;;) {
      const now = await look();
      if (now?.file && now.loaded.hash === now.file.hash && now.notReady === undefined) break;
      await delay(200);
    }
    return `secretbox/${keys[0]?.keys[0]?.name}`;
  }

  async function create(path: string, body: object): Promise<void> {
    const { status, text } = await cluster.request(0, "POST", path, body);
    assert.equal(status, 201, text);
  }

  const secret = (name: string, more: object = {}, labels: object = {}) => ({
    metadata: { name, labels },
    data: { value: Buffer.from(`plaintext of ${name}`).toString("base64") },
    ...more,
  });

  async function createObjects(): Promise<void> {
    for (const name of ["plenty", "leaving"]) await create("/api/v1/namespaces", { metadata: { name } });
    for (let index = 0; index < 120; index++) await create("/api/v1/namespaces/plenty/secrets", secret(`s${index}`));
    await create("/api/v1/namespaces/plenty/secrets", secret("fixed", { immutable: true }));
    await create("/api/v1/namespaces/leaving/secrets", secret("last"));
    // Nobody finishes the deletion here, so it goes on being deleted.
    const deleted = await cluster.request(0, "DELETE", "/api/v1/namespaces/leaving");
    assert.equal(deleted.status, 200, deleted.text);
    for (let index = 0; index < 7; index++) {
      await create("/api/v1/namespaces/default/events", {
        metadata: { name: `e${index}` },
        involvedObject: { kind: "Pod", namespace: "default", name: "x" },
      });
    }
    await create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {
      metadata: { name: "pandas.example.com" },
      spec: {
        group: "example.com",
        scope: "Namespaced",
        names: { plural: "pandas", singular: "panda", kind: "Panda" },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
          },
        ],
      },
    });
  }

  async function viaEtcd(method: string, body: Readonly<Record<string, unknown>>, endpoint?: string) {
    const { endpoints, client } = cluster.controlPlane.etcd;
    const [ca, cert, key] = [client.caFile, client.certFile, client.keyFile].map((file) => readFileSync(file));
    const pool = new Pool(endpoint ?? endpoints[0] ?? "", { connect: { ca, cert, key } });
    const answer = await pool.request({ method: "POST", path: `/v3/kv/${method}`, body: JSON.stringify(body) });
    const text = await answer.body.text();
    await pool.close();
    assert.equal(answer.statusCode, 200, text);
    return JSON.parse(text) as { count?: string };
  }
  const base64 = (text: string) => Buffer.from(text).toString("base64");

  const targets = (provider: string, resources = encrypted) =>
    resources.map((resource) => ({ resource, key: { provider } }));
  const stale = async (provider: string, resources = encrypted) => {
    const proof = await stored.measure(targets(provider, resources), [], quiet, signal);
    return proof.resources.flatMap(({ resource, keys: counted }) =>
      counted.filter(({ key }) => key.provider !== provider).map(({ objects }) => `${objects} ${resource}`),
    );
  };

  it("--etcd-prefix and --etcd-servers-overrides are taken from the API server's flags", async () => {
    const proof = await stored.measure(targets(""), [], quiet, signal);
    const objects = Object.fromEntries(proof.resources.map((entry) => [entry.resource, entry.objects]));
    assert.equal(objects["secrets"], 122);
    assert.ok((objects["events"] ?? 0) >= 7);
    const events = { key: base64(`${prefix}/events/`), range_end: base64(`${prefix}/events0`), count_only: true };
    assert.equal((await viaEtcd("range", events)).count ?? "0", "0", "none is in the main etcd");
    assert.equal((await viaEtcd("range", events, eventsEtcd.endpoint)).count, String(objects["events"]));
  });

  it("immutable Secrets, Secrets of a namespace that is being deleted, and events elsewhere are rewritten too", async () => {
    const provider = await changeKey();
    assert.ok((await stale(provider)).includes("122 secrets"));
    const { failures, rewritten } = await stored.rewrite(targets(provider), ["cp1"], quiet, signal);
    assert.deepEqual(failures, []);
    assert.ok((rewritten ?? 0) >= 129);
    assert.deepEqual(await stale(provider), []);
  });

  it("a plan names the webhooks and policies in the way; what they refuse is in the ledger by their names, without content", async () => {
    const rule = {
      operations: ["UPDATE"],
      apiGroups: [""],
      apiVersions: ["v1"],
      resources: ["secrets"],
    };
    const hook = (name: string, url: string) => ({
      name: `${name}.example.com`,
      rules: [rule],
      clientConfig: { url, caBundle: webhook.caBundle },
      objectSelector: { matchLabels: { meets: name } },
      sideEffects: "None",
      admissionReviewVersions: ["v1"],
      timeoutSeconds: 2,
    });
    const admission = "/apis/admissionregistration.k8s.io/v1";
    await create("/api/v1/namespaces/plenty/secrets", secret("guarded", {}, { meets: "guard" }));
    await create("/api/v1/namespaces/plenty/secrets", secret("cut-off", {}, { meets: "away" }));
    await create("/api/v1/namespaces/plenty/secrets", secret("ruled", {}, { meets: "policy" }));
    await create(`${admission}/validatingwebhookconfigurations`, {
      metadata: { name: "hooks" },
      webhooks: [hook("guard", webhook.url), hook("away", "https://127.0.0.1:1/")],
    });
    await create(`${admission}/validatingadmissionpolicies`, {
      metadata: { name: "frozen" },
      spec: {
        matchConstraints: { resourceRules: [rule], objectSelector: { matchLabels: { meets: "policy" } } },
        validations: [{ expression: "false", messageExpression: "'no: ' + string(object.data.value)" }],
      },
    });
    await create(`${admission}/validatingadmissionpolicybindings`, {
      metadata: { name: "frozen" },
      spec: { policyName: "frozen", validationActions: ["Deny"] },
    });
    const outlook = await stored.outlook(targets(""), ["cp1"], signal);
    const named = outlook.admission.find(({ resource }) => resource === "secrets");
    assert.deepEqual(named, {
      resource: "secrets",
      mutatingWebhooks: [],
      validatingWebhooks: ["guard.example.com", "away.example.com"],
      policies: ["frozen"],
    });
    assert.ok(outlook.reads.all && outlook.reads.objects >= 125);

    const provider = await changeKey();
    let failures: readonly ObjectFailure[] = [];
    // The server takes a moment to learn of policies and webhooks after its start.
    for (let attempt = 0; attempt < 20 && failures.length < 3; attempt++) {
      failures = (await stored.rewrite(targets(provider, ["secrets"]), ["cp1"], quiet, signal)).failures;
      if (failures.length < 3) await changeKeyBack();
    }
    const reasons = Object.fromEntries(failures.map(({ name, reason }) => [name, reason]));
    assert.deepEqual(Object.keys(reasons).sort(), ["cut-off", "guarded", "ruled"]);
    assert.match(reasons["guarded"] ?? "", /admission webhook "guard\.example\.com" denied the request$/);
    assert.match(reasons["cut-off"] ?? "", /failed calling webhook "away\.example\.com".*connection refused/);
    assert.match(reasons["ruled"] ?? "", /ValidatingAdmissionPolicy 'frozen' denied the request$/);
    assert.doesNotMatch(JSON.stringify(failures), /plaintext|cGxhaW50ZXh0/);
    assert.ok(webhook.asked() > 0);
    assert.deepEqual(await stale(currentProvider(), ["secrets"]), ["3 secrets"]);

    for (const path of ["validatingwebhookconfigurations/hooks", "validatingadmissionpolicybindings/frozen"])
      assert.equal((await cluster.request(0, "DELETE", `${admission}/${path}`)).status, 200);
    for (;;) {
      const again = await stored.rewrite(targets(currentProvider(), ["secrets"]), ["cp1"], quiet, signal);
      if (again.failures.length === 0) break;
      await delay(500);
    }
    assert.deepEqual(await stale(currentProvider(), ["secrets"]), []);
  });

  const currentProvider = () => `secretbox/${keys[0]?.keys[0]?.name}`;
  async function changeKeyBack(): Promise<void> {
    await changeKey();
    await stored.rewrite(targets(currentProvider(), ["secrets"]), ["cp1"], quiet, signal);
    await changeKey();
  }

  it("priority and fairness refuses with 429 => fewer at a time, and every object is rewritten", async () => {
    const provider = await changeKey();
    let user: AsUser | undefined;
    const flow = "/apis/flowcontrol.apiserver.k8s.io/v1";
    await create("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
      metadata: { name: "rewriter" },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "User", apiGroup: "rbac.authorization.k8s.io", name: "rewriter" }],
    });
    await create(`${flow}/prioritylevelconfigurations`, {
      metadata: { name: "narrow" },
      spec: {
        type: "Limited",
        limited: { nominalConcurrencyShares: 1, borrowingLimitPercent: 0, limitResponse: { type: "Reject" } },
      },
    });
    await create(`${flow}/flowschemas`, {
      metadata: { name: "rewriter" },
      spec: {
        priorityLevelConfiguration: { name: "narrow" },
        matchingPrecedence: 10,
        rules: [
          {
            subjects: [{ kind: "User", user: { name: "rewriter" } }],
            resourceRules: [
              { verbs: ["*"], apiGroups: ["*"], resources: ["*"], namespaces: ["*"], clusterScope: true },
            ],
            nonResourceRules: [{ verbs: ["*"], nonResourceURLs: ["*"] }],
          },
        ],
      },
    });
    try {
      user = await asUser(host(), "rewriter");
      const through = createStoredObjects({
        servers: [{ name: "cp1", url: user.url, tls: { ca: "", cert: "", key: "" } }],
      });
      let result: Awaited<ReturnType<StoredObjects["rewrite"]>>;
      do {
        // Until the server has taken the new level up, it refuses nothing.
        result = await through.rewrite(targets(provider, ["secrets"]), ["cp1"], quiet, signal);
        assert.deepEqual(result.failures, []);
        if ((user.answers.get(429) ?? 0) > 0) break;
        await changeKey();
        await changeKey();
      } while ((user.answers.get(429) ?? 0) === 0);
      await through.close();
      assert.deepEqual(await stale(provider, ["secrets"]), []);
    } finally {
      await user?.close();
    }
  });

  it("an object that no longer fits into etcd once it is encrypted => the plan names it, and so does the ledger", async () => {
    // In plaintext, just below what etcd takes.
    const plain = { blocks: [{ resources: encrypted, providers: [{ kind: "identity" as const }, ...keys] }] };
    await writeConfig(plain);
    let length = 1_572_864 - 100;
    for (;;) {
      const body = {
        apiVersion: "example.com/v1",
        kind: "Panda",
        metadata: { name: "large" },
        bamboo: "x".repeat(length),
      };
      const { status, text } = await cluster.request(0, "POST", "/apis/example.com/v1/namespaces/default/pandas", body);
      if (status === 201) break;
      assert.match(text, /too large/);
      length -= 30;
    }
    const provider = await changeKey();
    const proof = await stored.measure(targets(provider), [], quiet, signal);
    const forecast = rewriteForecast(
      proof,
      targets(provider),
      await stored.outlook(targets(provider), ["cp1"], signal),
    );
    assert.deepEqual(
      forecast.tooLarge.map(({ object }) => object),
      ["example.com/pandas/default/large"],
    );
    assert.match(rewriteWarnings(forecast).join("\n"), /example\.com\/pandas\/default\/large .*too long for etcd/);
    const { failures } = await stored.rewrite(targets(provider, ["pandas.example.com"]), ["cp1"], quiet, signal);
    assert.deepEqual(
      failures.map(({ resource, namespace, name }) => [resource, namespace, name]),
      [["pandas.example.com", "default", "large"]],
    );
    assert.match(failures[0]?.reason ?? "", /too large/i);
    assert.equal(
      (await cluster.request(0, "DELETE", "/apis/example.com/v1/namespaces/default/pandas/large")).status,
      200,
    );
  });

  async function writeConfig(config: Parameters<HostsFleet["writeConfig"]>[0]["config"]): Promise<void> {
    const look = async () => (await fleet.observe(signal)).servers[0];
    await fleet.writeConfig({ server: "cp1", expectedHash: (await look())?.file?.hash, config });
    await fleet.restart("cp1");
    for (;;) {
      const now = await look();
      if (now?.file && now.loaded.hash === now.file.hash && now.notReady === undefined) return;
      await delay(200);
    }
  }

  it("the cluster's own migration is asked where that is wanted; without its controller, an error says what is missing", async () => {
    const provider = await changeKey();
    const client = apiClient({
      name: "cp1",
      url: host().apiServerUrl,
      tls: {
        ca: readFileSync(host().client.caFile, "utf8"),
        cert: readFileSync(host().client.certFile, "utf8"),
        key: readFileSync(host().client.keyFile, "utf8"),
      },
    });
    const { served } = await discoverResources(client, signal);
    const resources = served.filter(({ name }) => name === "secrets");
    await assert.rejects(
      migrateInTree({ clients: [client], resources, onProgress: quiet, signal, pollInterval: 100, patience: 1_000 }),
      (error: KmsEtcdError) =>
        error.code === "unsupported" && (error.remedy ?? "").includes("storage-version-migrator"),
    );
    await client.close();
    const manager = await startControllerManager({
      kubeconfig: layout().host("cp1").kubeconfigFile,
      controllers: storageVersionMigration.controllers,
      arguments: storageVersionMigration.arguments,
      logFile: join(cluster.directory, "controller-manager.log"),
    });
    try {
      const result = await stored.rewrite(
        targets(provider, ["secrets"]),
        ["cp1"],
        quiet,
        signal,
        RewriteMethod.InTreeMigration,
      );
      assert.deepEqual(result.failures, []);
      assert.equal(result.rewritten, undefined);
      assert.deepEqual(await stale(provider, ["secrets"]), []);
      const left = await cluster.request(0, "GET", "/apis/storagemigration.k8s.io/v1beta1/storageversionmigrations");
      assert.deepEqual((JSON.parse(left.text) as { items: unknown[] }).items, []);
    } finally {
      await manager.stop();
    }
  });

  it("a custom resource that is no longer served: etcd counts it, the API alone leaves it unproven", async () => {
    await create("/apis/example.com/v1/namespaces/default/pandas", {
      apiVersion: "example.com/v1",
      kind: "Panda",
      metadata: { name: "left" },
    });
    const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pandas.example.com";
    const patch = [{ op: "replace", path: "/spec/versions/0/served", value: false }];
    const changed = await cluster.request(0, "PATCH", path, patch, "application/json-patch+json");
    assert.equal(changed.status, 200, changed.text);
    const byApi = createLocalStoredObjects(cluster.controlPlane, fleet, "api");
    try {
      const states = (await fleet.observe(signal)).servers.map(({ name, loaded, processStartedAt }) => ({
        server: name,
        loadedHash: loaded.hash ?? "",
        processStartedAt,
      }));
      for (;;) {
        const proof = await byApi.measure(targets(currentProvider()), states, quiet, signal);
        if (proof.unproven === undefined) {
          await delay(500); // discovery follows the definition a moment later
          continue;
        }
        assert.deepEqual(proof.unproven, ["pandas.example.com"]);
        assert.ok(proof.notSeen?.includes("pandas.example.com: no version of it is served"));
        break;
      }
      const proof = await stored.measure(targets(currentProvider()), states, quiet, signal);
      assert.equal(proof.resources.find(({ resource }) => resource === "pandas.example.com")?.objects, 1);
      const { failures } = await stored.rewrite(targets(currentProvider()), ["cp1"], quiet, signal);
      assert.deepEqual(
        failures.map(({ resource }) => resource),
        ["pandas.example.com"],
      );
    } finally {
      await byApi.close();
    }
  });

  it("an object that cannot be read before the start => named, with the reason and the remedy", async () => {
    const key = `${prefix}/secrets/plenty/broken`;
    await viaEtcd("put", { key: base64(key), value: base64("k8s:enc:secretbox:v1:a:no longer decrypts") });
    const outlook = await stored.outlook(targets(currentProvider(), ["secrets"]), ["cp1"], signal);
    assert.deepEqual(
      outlook.reads.failures.map(({ resource, namespace, name }) => [resource, namespace, name]),
      [["secrets", "plenty", "broken"]],
    );
    const proof = await stored.measure(targets(currentProvider(), ["secrets"]), [], quiet, signal);
    const warnings = rewriteWarnings(rewriteForecast(proof, targets(currentProvider(), ["secrets"]), outlook));
    assert.match(warnings.join("\n"), /^secrets plenty\/broken: 500 InternalError.*cannot be read now.*or delete it$/m);
  });
});
