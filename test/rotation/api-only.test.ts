import assert from "node:assert/strict";
import { writerOf } from "../../core/encryption-configuration";
import { providerName } from "../../core/provider-name";
import { isUnreadable } from "../../rotation/declared-readers";
import { runRotation } from "../../rotation/run";
import { apiOnly } from "./api-only";
import { goalFor, keyVersion } from "./goals";
import { randomFrom } from "./random";
import { type SimulatedCluster, simulateCluster } from "./simulated-cluster";

const provider = (version: number) => `kms/v2/${providerName("v2", keyVersion(version).key, "secrets")}`;

/** `onRead` comes right before the first pass that reads every object through a pruned server. */
async function run(
  cluster: SimulatedCluster,
  version: number,
  more: Parameters<typeof goalFor>[2] = {},
  onRead: () => void = () => undefined,
) {
  const stored = apiOnly(cluster);
  let pass = 0;
  const goal = goalFor(
    version,
    cluster.hosts.map((host) => host.name),
    more,
  );
  return runRotation({
    goal,
    fleet: cluster.fleet,
    stored: {
      ...stored,
      readThrough: (...args) => {
        if ((pass += 1) === 1) onRead();
        return stored.readThrough(...args);
      },
    },
    clock: cluster.clock,
    onEvent: (event) => cluster.log.push(`        ${event.stage} ${event.kind}: ${event.message}`),
    signal: new AbortController().signal,
  });
}

function assertAllUnder(cluster: SimulatedCluster, version: number): void {
  for (const [name, object] of cluster.objects) assert.equal(object.provider, provider(version), name);
  for (const { name, loaded, plugins } of cluster.hosts) {
    assert.deepEqual(
      cluster.listFor(loaded).map((item) => writerOf([item])),
      [provider(version)],
      name,
    );
    assert.deepEqual([...plugins.keys()], [keyVersion(version).name], name);
  }
}

for (const reload of ["hot", "restart"] as const) {
  for (const hosts of [1, 3]) {
    describe(`${hosts} ${reload} servers that are known through the API alone`, () => {
      const made = () => simulateCluster({ hosts, reload, objects: 12, random: randomFrom(5) });

      it("are encrypted, rotated and rolled back", async () => {
        const cluster = made();
        for (const version of [1, 2, 1]) {
          const outcome = await run(cluster, version);
          assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
          assertAllUnder(cluster, version);
        }
      });

      it("a pruned server that cannot read everything => every declared reader comes back, and the rotation ends", async () => {
        const cluster = made();
        await run(cluster, 1);
        // An object of a key that no server's configuration has any more.
        const onRead = () => cluster.restore("s3", provider(3), "local-3");
        const outcome = await run(cluster, 2, {}, onRead);
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assertAllUnder(cluster, 2);
        assert.ok(cluster.log.some((line) => line.includes(`start ${keyVersion(3).name}`)));
      });

      it("an old backup restored after all are pruned => every declared reader comes back, and then all is rewritten", async () => {
        const cluster = made();
        await run(cluster, 1);
        const restore = cluster.snapshot();
        await run(cluster, 2);
        restore();
        const outcome = await run(cluster, 2);
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assertAllUnder(cluster, 2);
      });

      it("a backup from before encryption => plaintext is read again, and then encrypted", async () => {
        const cluster = made();
        const restore = cluster.snapshot();
        await run(cluster, 1);
        restore();
        const outcome = await run(cluster, 1);
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assertAllUnder(cluster, 1);
      });

      it("objects of a key that nobody has declared => the run ends, saying so, and what it has declared stays readable", async () => {
        const cluster = made();
        await run(cluster, 1);
        cluster.restore("s3", "kms/v2/another", "another");
        const outcome = await run(cluster, 1);
        assert.equal(outcome.kind, "blocked");
        assert.match(outcome.reason ?? "", /no matching prefix|informer-sync/);
        const read = new Set(
          cluster.hosts.flatMap(({ config }) => cluster.listFor(config).map((item) => writerOf([item]))),
        );
        assert.deepEqual([...read].sort(), [1, 2, 3].map(provider).concat("identity").sort());
      });

      it("a declared key that cannot be used does not keep the others from coming back", async () => {
        const cluster = made();
        await run(cluster, 1);
        const restore = cluster.snapshot();
        await run(cluster, 2);
        restore();
        for (const host of cluster.hosts) {
          host.plugins.set(keyVersion(3).name, {
            startedAt: 0,
            material: "local-3",
            image: "first",
            runs: { image: "first", since: 0 },
            answered: false,
            broken: true,
            socketMissing: false,
          });
        }
        const outcome = await run(cluster, 2);
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assertAllUnder(cluster, 2);
      });

      it("a retired key's reader does not come back", async () => {
        const cluster = made();
        await run(cluster, 1);
        const restore = cluster.snapshot();
        await run(cluster, 2);
        restore();
        const outcome = await run(cluster, 2, { retired: [keyVersion(3).name] });
        assert.equal(outcome.kind, "done", `${outcome.reason}\n${cluster.log.slice(-30).join("\n")}`);
        assert.ok(!cluster.log.some((line) => line.includes(`start ${keyVersion(3).name}`)));
      });
    });
  }
}

describe("what counts as unreadable", () => {
  it("is what a server cannot decrypt, of one object or of a list, and no webhook that fails", () => {
    const list = "cp1: GET /api/v1/secrets: 500 InternalError: Internal error occurred: unable to transform key";
    for (const reason of ["500 InternalError: Internal error occurred: no matching prefix found", list, "HTTP 500"])
      assert.ok(isUnreadable({ reason }), reason);
    const webhook = '500 InternalError: failed calling webhook "a.example.com"';
    for (const reason of [webhook, "403 Forbidden", "503 ServiceUnavailable", "cp1 does not answer (port 6500)"])
      assert.ok(!isUnreadable({ reason }), reason);
  });
});
