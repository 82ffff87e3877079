import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import type { KmsEtcdError } from "../../../../core/errors";
import { type EtcdClient, etcdClient } from "../../../../rotation/adapters/etcd/etcd-client";
import { keyRanges } from "../../../../rotation/adapters/etcd/etcd-keys";
import { scanStoredValues } from "../../../../rotation/adapters/etcd/etcd-scan";
import type { Progress } from "../../../../rotation/stored-objects";
import { type FakeEtcd, fakeEtcd } from "./etcd-fake";

const plaintext = Buffer.from("k8s\0rest");
const field = (number: number, text: string) =>
  Buffer.concat([Buffer.from([number * 8 + 2, text.length]), Buffer.from(text)]);
const kms = (provider: string, keyId: string) =>
  Buffer.concat([
    Buffer.from(`k8s:enc:kms:v2:${provider}:`),
    field(1, "data"),
    field(2, keyId),
    field(3, "dek"),
    Buffer.from([0x28, 1]),
  ]);

describe("the scan of stored values", function () {
  this.timeout(30_000); // other work may share the machine
  let etcd: FakeEtcd;
  let client: EtcdClient;
  const signal = new AbortController().signal;
  beforeEach(async () => {
    etcd = await fakeEtcd();
    client = etcdClient({ endpoints: [etcd.endpoint] });
  });
  afterEach(() => {
    client.close();
    etcd.close();
  });

  const scan = (names: readonly string[], onProgress: (progress: Progress) => void = () => {}) =>
    scanStoredValues(
      () => client,
      keyRanges(names, "/registry", () => []),
      "/registry",
      onProgress,
      signal,
    );
  const store = (prefix: string, count: number, value: Buffer) => {
    for (let index = 0; index < count; index++) etcd.values.set(`${prefix}${String(index).padStart(6, "0")}`, value);
  };

  it("tells of each key the highest revision at which a value with it was changed", async () => {
    store("/registry/secrets/a/", 300, kms("one", "k1"));
    store("/registry/secrets/b/", 2, kms("one", "k2"));
    for (const [index, key] of [...etcd.values.keys()].entries()) etcd.modRevisions.set(key, 1_000 - index);
    const [secrets] = await scan(["secrets"]);
    assert.deepEqual(
      secrets?.keys.map(({ key, newest }) => [key.keyId, newest]),
      [
        ["k1", 1_000],
        ["k2", 700],
      ],
    );
    etcd.modRevisions.delete("/registry/secrets/b/000001");
    const [again] = await scan(["secrets"]);
    assert.deepEqual(
      again?.keys.map(({ newest }) => newest),
      [1_000, undefined],
      "not known of one: not known",
    );
  });

  it("revisions of two etcds are not compared", async () => {
    store("/registry/secrets/a/", 1, plaintext);
    store("/registry/events/a/", 1, plaintext);
    for (const key of etcd.values.keys()) etcd.modRevisions.set(key, 5);
    const newest = async (overrides: readonly string[], names: readonly string[]) => {
      const ranges = keyRanges(names, "/registry", () => [], overrides);
      const found = await scanStoredValues(
        () => client,
        ranges,
        "/registry",
        () => {},
        signal,
      );
      return found.map(({ keys }) => keys[0]?.newest);
    };
    assert.deepEqual(await newest([], ["*.*"]), [5]);
    assert.deepEqual(await newest(["events"], ["*.*"]), [undefined]);
    assert.deepEqual(await newest(["events"], ["secrets", "events"]), [5, 5]);
  });

  it("counts objects, bytes and keys of each resource, over several pages, and nothing of its neighbours", async () => {
    store("/registry/secrets/a/", 300, kms("one", "k1"));
    store("/registry/secrets/b/", 200, kms("one", "k2"));
    store("/registry/secrets/c/", 7, plaintext);
    store("/registry/secretsx/", 3, plaintext);
    store("/registry/configmaps/", 4, Buffer.from("k8s:enc:aescbc:v1:key1:zzzz"));
    const seen: Progress[] = [];
    const [secrets, configmaps] = await scan(["secrets", "configmaps"], (progress) => seen.push(progress));
    assert.deepEqual(secrets, {
      resource: "secrets",
      objects: 507,
      bytes: 500 * kms("one", "k1").length + 7 * plaintext.length,
      unknown: 0,
      keys: [
        {
          key: { provider: "kms/v2/one", keyId: "k1" },
          objects: 300,
          dataKeys: 1,
          examples: ["000000", "000001", "000002"].map((name) => `secrets/a/${name}`),
        },
        {
          key: { provider: "kms/v2/one", keyId: "k2" },
          objects: 200,
          dataKeys: 1,
          examples: ["000000", "000001", "000002"].map((name) => `secrets/b/${name}`),
        },
        {
          key: { provider: "identity" },
          objects: 7,
          examples: ["000000", "000001", "000002"].map((name) => `secrets/c/${name}`),
        },
      ],
    });
    assert.deepEqual(
      configmaps?.keys.map(({ key, objects }) => ({ key, objects })),
      [{ key: { provider: "aescbc/key1" }, objects: 4 }],
    );
    assert.deepEqual(seen.at(-1), { done: 511, total: 511 });
    assert.ok(etcd.requests.length >= 3 && etcd.requests.every((request) => request.limit > 0), "paged");
  });

  it("all pages read one revision", async () => {
    store("/registry/secrets/", 1_500, plaintext);
    etcd.intercept = () => {
      etcd.revision += 1;
      return undefined;
    };
    await scan(["secrets"]);
    const [first, ...rest] = etcd.requests.map((request) => request.revision);
    assert.equal(first, 0);
    assert.deepEqual(new Set(rest), new Set([11]));
  });

  it("the revision is compacted in the middle => goes on behind the last key with a newer one, every key once", async () => {
    store("/registry/secrets/", 3_000, plaintext);
    let answers = 0;
    etcd.intercept = () => {
      answers += 1;
      if (answers === 3) {
        etcd.revision = 50;
        etcd.compacted = 50;
      }
      return undefined;
    };
    const [secrets] = await scan(["secrets"]);
    assert.equal(secrets?.objects, 3_000);
    assert.ok(
      etcd.requests.some((request) => request.revision === 50) ||
        etcd.requests.filter((request) => request.revision === 0).length === 2,
    );
  });

  it("large values => smaller pages, also when an answer is refused as too large", async () => {
    store("/registry/secrets/", 60, Buffer.concat([plaintext, Buffer.alloc(1_000_000)]));
    etcd.intercept = ({ limit }) => (limit > 30 ? status.RESOURCE_EXHAUSTED : undefined);
    const [secrets] = await scan(["secrets"]);
    assert.equal(secrets?.objects, 60);
    assert.ok(
      etcd.requests.slice(-3).every((request) => request.limit <= 3),
      "about 2 MiB a page",
    );
  });

  it("values that nobody understands are counted apart", async () => {
    store("/registry/secrets/a", 2, Buffer.from("k8s:enc:new:v9:x:abc"));
    store("/registry/secrets/b", 1, Buffer.alloc(0));
    const [secrets] = await scan(["secrets"]);
    assert.deepEqual([secrets?.objects, secrets?.unknown, secrets?.keys], [3, 3, []]);
    assert.deepEqual(secrets?.unknownValues, [
      { object: "secrets/a000000", reason: "the prefix k8s:enc:new:v9: is of no provider that is known here" },
      { object: "secrets/a000001", reason: "the prefix k8s:enc:new:v9: is of no provider that is known here" },
      { object: "secrets/b000000", reason: "the value is empty" },
    ]);
  });

  it("KMS v2 => its data keys are counted; values near etcd's limit are named with their size in plaintext", async () => {
    const value = (seed: string, data: Buffer) =>
      Buffer.concat([
        Buffer.from("k8s:enc:kms:v2:one:"),
        Buffer.from([0x0a, ...lengthOf(data)]),
        data,
        field(2, "k1"),
        field(3, `the same head of every data key ${"-".repeat(40)} ${seed}`),
        Buffer.from([0x28, 1]),
      ]);
    const lengthOf = ({ length }: Buffer): number[] => {
      const bytes: number[] = [];
      let rest = length;
      for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
      return [...bytes, rest];
    };
    for (const [index, seed] of ["x", "y", "x", "x"].entries())
      etcd.values.set(`/registry/secrets/n/${index}`, value(seed, Buffer.alloc(100)));
    etcd.values.set("/registry/secrets/n/big", value("y", Buffer.alloc(1_572_000)));
    const [secrets] = await scan(["secrets"]);
    assert.deepEqual(
      secrets?.keys.map(({ objects, dataKeys }) => ({ objects, dataKeys })),
      [{ objects: 5, dataKeys: 2 }],
    );
    assert.deepEqual(secrets.large, [
      { object: "secrets/n/big", plainBytes: 1_572_000 - 60, keyBytes: "/registry/secrets/n/big".length },
    ]);
  });

  it("a resource with an etcd of its own is read there, and what is left of it elsewhere is passed over", async () => {
    const other = await fakeEtcd();
    const apart = etcdClient({ endpoints: [other.endpoint] });
    store("/registry/events/", 9, kms("old", "k0"));
    store("/registry/secrets/", 2, plaintext);
    other.values.set("/registry/events/n/a", plaintext);
    const asked: (string | undefined)[] = [];
    const of = async (names: readonly string[]) =>
      scanStoredValues(
        (override) => {
          asked.push(override);
          return override === "events" ? apart : client;
        },
        keyRanges(names, "/registry", () => [], ["events"]),
        "/registry",
        () => {},
        signal,
      );
    try {
      const [events] = await of(["events"]);
      assert.deepEqual([events?.objects, events?.keys[0]?.key], [1, { provider: "identity" }]);
      assert.deepEqual(asked, ["events"]);
      const [all] = await of(["*.*"]);
      assert.deepEqual(
        all?.keys.map(({ key, objects }) => ({ key, objects })),
        [{ key: { provider: "identity" }, objects: 3 }],
      );
    } finally {
      apart.close();
      other.close();
    }
  });

  it("*.* passes over what is no object and what another name covers", async () => {
    store("/registry/secrets/", 2, plaintext);
    store("/registry/pods/", 3, plaintext);
    store("/registry/example.com/pandas/", 4, plaintext);
    etcd.values.set("/registry/ranges/serviceips", Buffer.from("?"));
    etcd.values.set("/registry/masterleases/10.0.0.1", Buffer.from("?"));
    const [secrets, rest] = await scan(["secrets", "*.*"]);
    assert.deepEqual([secrets?.objects, rest?.objects, rest?.unknown], [2, 7, 0]);
  });

  it("an endpoint that is down => the next one; a refusal => its reason", async () => {
    const two = etcdClient({ endpoints: ["http://127.0.0.1:1", etcd.endpoint] });
    store("/registry/secrets/", 5, plaintext);
    const [secrets] = await scanStoredValues(
      () => two,
      keyRanges(["secrets"], "/registry", () => []),
      "/registry",
      () => {},
      signal,
    );
    assert.equal(secrets?.objects, 5);
    two.close();
    etcd.intercept = () => status.PERMISSION_DENIED;
    await assert.rejects(
      scan(["secrets"]),
      (error: KmsEtcdError) => error.code === "permission-denied" && error.message.includes(etcd.endpoint),
    );
  });

  it("no endpoint answers => unreachable, naming it", async () => {
    const nowhere = etcdClient({ endpoints: ["http://127.0.0.1:1"] });
    const scanning = scanStoredValues(
      () => nowhere,
      keyRanges(["secrets"], "/registry", () => []),
      "/registry",
      () => {},
      signal,
    );
    await assert.rejects(
      scanning,
      (error: KmsEtcdError) => error.code === "unreachable" && error.message.includes("127.0.0.1:1: ECONNREFUSED"),
    );
    nowhere.close();
  });

  it("stopped => cancelled", async () => {
    store("/registry/secrets/", 3_000, plaintext);
    const controller = new AbortController();
    const scanning = scanStoredValues(
      () => client,
      keyRanges(["secrets"], "/registry", () => []),
      "/registry",
      () => controller.abort(),
      controller.signal,
    );
    await assert.rejects(scanning, (error: KmsEtcdError) => error.code === "cancelled");
  });

  it("TLS without a certificate => invalid-input before anything is sent", () => {
    assert.throws(
      () => etcdClient({ endpoints: ["https://127.0.0.1:2379"] }),
      (error: KmsEtcdError) => error.code === "invalid-input",
    );
  });
});
