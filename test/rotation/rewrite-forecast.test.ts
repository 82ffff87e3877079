import assert from "node:assert/strict";
import type { StoredProof } from "../../rotation/observation";
import { rewriteWarnings, unreadWarnings, unsizedWarnings } from "../../rotation/plan-warnings";
import { kmsCallCounter, measuringTime, rewriteForecast } from "../../rotation/rewrite-forecast";
import type { RewriteOutlook } from "../../rotation/stored-objects";

const old = { provider: "kms/v2/old", keyId: "k1" };
const wanted = { provider: "kms/v2/new", keyId: "k2" };
const targets = [{ resource: "secrets", key: wanted }];
const proof = (more: Partial<StoredProof["resources"][number]> = {}): StoredProof => ({
  method: "etcd",
  startedAt: 0,
  finishedAt: 1,
  servers: [],
  resources: [
    {
      resource: "secrets",
      objects: 100,
      bytes: 5_000,
      unknown: 0,
      keys: [{ key: old, objects: 100, dataKeys: 4 }],
      ...more,
    },
  ],
});
const outlook = (more: Partial<RewriteOutlook["reads"]> = {}): RewriteOutlook => ({
  admission: [
    { resource: "secrets", mutatingWebhooks: ["m.example.com"], validatingWebhooks: [], policies: ["no-empty"] },
  ],
  reads: { objects: 1_000, milliseconds: 500, all: false, failures: [], ...more },
});
const config = (...names: readonly string[]) => ({
  blocks: [
    {
      resources: ["secrets"],
      providers: names.map((name) => ({
        kind: "kms" as const,
        apiVersion: "v2" as const,
        name,
        endpoint: "unix:///x",
      })),
    },
  ],
});

describe("the forecast of a rewrite", () => {
  it("has objects, bytes and admission of each resource, and a rate from what was just read", () => {
    const forecast = rewriteForecast(proof(), targets, outlook());
    assert.deepEqual(forecast.resources, [
      {
        resource: "secrets",
        objects: 100,
        stale: 100,
        bytes: 5_000,
        mutatingWebhooks: ["m.example.com"],
        validatingWebhooks: [],
        policies: ["no-empty"],
      },
    ]);
    assert.equal(forecast.objectsPerSecond, 667);
    assert.match(forecast.rateBasis, /2000 reads\/s just now/);
    assert.match(rewriteWarnings(forecast)[0] ?? "", /mutating webhooks m\.example\.com; admission policies no-empty/);
  });

  it("too few reads => the usual rate, said to be that; counted through the API => no bytes", () => {
    const forecast = rewriteForecast({ ...proof(), method: "api" }, targets, outlook({ objects: 10 }));
    assert.match(forecast.rateBasis, /not measured here/);
    assert.equal(forecast.resources[0]?.bytes, undefined);
  });

  it("an object that no longer fits into etcd once it is encrypted is named; one that fits is not", () => {
    const large = [
      { object: "secrets/ns/big", plainBytes: 1_572_000, keyBytes: 30 },
      { object: "secrets/ns/fits", plainBytes: 1_560_000, keyBytes: 30 },
    ];
    const forecast = rewriteForecast(proof({ large }), targets, outlook());
    assert.deepEqual(
      forecast.tooLarge.map(({ object }) => object),
      ["secrets/ns/big"],
    );
    const [, warning = ""] = rewriteWarnings(forecast);
    assert.match(warning, /^secrets\/ns\/big \(about \d+ bytes\) may be too long for etcd.*--max-request-bytes/);
    const plaintext = rewriteForecast(
      proof({ large }),
      [{ resource: "secrets", key: { provider: "identity" } }],
      outlook(),
    );
    assert.deepEqual(plaintext.tooLarge, [], "plaintext is no longer than it was");
  });

  it("an object that cannot be read is named, with the reason and the remedy", () => {
    const failures = [{ resource: "secrets", namespace: "ns", name: "a", reason: "500 InternalError: no key" }];
    const warnings = rewriteWarnings(rewriteForecast(proof(), targets, outlook({ failures })));
    assert.match(warnings[1] ?? "", /^secrets ns\/a: 500 InternalError: no key cannot be read now.*delete it$/);
  });

  it("values that no server reads, and those that nobody understands, are named", () => {
    const server = {
      name: "cp1",
      loaded: { config: config("new") },
    };
    const stored = proof({
      keys: [{ key: old, objects: 5, examples: ["secrets/ns/a", "secrets/ns/b"] }],
      unknown: 1,
      unknownValues: [{ object: "secrets/ns/x", reason: "the value is empty" }],
    });
    const warnings = unreadWarnings({ stored, servers: [server] } as unknown as Parameters<typeof unreadWarnings>[0]);
    assert.deepEqual(warnings, [
      "5 secrets (secrets/ns/a, secrets/ns/b, ...) need kms/v2/old, which no API server reads: declare its key, or delete them",
      "1 values of secrets are not understood: secrets/ns/x (the value is empty)",
    ]);
    // A count through the API servers looks at no value.
    const counted = { ...proof({ keys: [], unknown: 5 }), method: "counted" };
    const none = unreadWarnings({ stored: counted, servers: [server] } as unknown as Parameters<
      typeof unreadWarnings
    >[0]);
    assert.deepEqual(none, []);
  });
});

describe("the calls to the KMS of a plan", () => {
  it("one Status and one Encrypt for each provider and load, one Decrypt for each data key and server", () => {
    const counter = kmsCallCounter(3);
    for (let server = 0; server < 3; server++) counter.load(config("old", "new"), false);
    // 6 loads of a provider; 2 minutes of Status once a minute on 3 servers with 2 providers; 4 data keys on 3 servers,
    // and one server reads what the other servers have written.
    assert.deepEqual(counter.total(proof(), true, 120_000, config("old", "new")), {
      status: 6 + 12,
      encrypt: 6,
      decrypt: 12 + 3,
    });
  });

  it("Status is asked of every provider that is loaded on the way, not of those that are left alone", () => {
    const counter = kmsCallCounter(1);
    counter.load(config("old", "new"), false);
    counter.load(config("new"), false);
    assert.equal(counter.total(proof(), true, 120_000, config("new")).status, 3 + 2 * 2);
  });

  it("KMS v1 costs a Decrypt an object, and a restart reads everything again", () => {
    const counter = kmsCallCounter(1);
    counter.load(config("new"), true);
    const v1 = proof({ keys: [{ key: { provider: "kms/v1/old" }, objects: 100 }] });
    assert.equal(counter.total(v1, true, 0, config("new")).decrypt, 100 + 100 + 1);
  });

  it("nothing to do => no calls", () => {
    assert.deepEqual(kmsCallCounter(3).total(proof(), false, 0, undefined), { status: 0, encrypt: 0, decrypt: 0 });
  });
});

describe("the time of looks at what is stored", () => {
  const measurement = { kind: "stored", targets: [] } as const;
  const time = (method: "etcd" | "counted", servers: number) =>
    measuringTime(measurement, { ...proof({ objects: 40_000 }), method }, servers, 200);

  it("with etcd the values are read; without, every object is offered to one server and then to the others", () => {
    assert.equal(time("etcd", 3), 2_000);
    assert.equal(time("counted", 1), 200_000);
    assert.equal(time("counted", 3), 400_000);
    const reading = { kind: "readThrough", server: "cp1", resources: [] } as const;
    assert.ok(measuringTime(reading, proof({ objects: 40_000 }), 3, 200) > 60_000);
  });

  it("without etcd a plan says that it has not looked for objects that are too long", () => {
    const warned = (method: "etcd" | "counted") =>
      unsizedWarnings(rewriteForecast({ ...proof(), method }, targets, undefined)).join();
    assert.match(warned("counted"), /^secrets: objects that would be too long for etcd/);
    assert.equal(warned("etcd"), "");
  });
});
