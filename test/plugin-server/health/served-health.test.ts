import assert from "node:assert/strict";
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";
import { createServedHealth, type ServedHealth } from "../../../plugin-server/health/served-health";
import { type FakeKeyProvider, fakeKeyProvider } from "../support/fake-key-provider";
import { type ManualClock, manualClock } from "../support/manual-clock";

describe("the health of a key that KMS v1 uses in another way than v2", () => {
  let provider: FakeKeyProvider;
  let clock: ManualClock;
  let health: ServedHealth;
  let changes: string[];
  let probesOfV1: number;
  let v1Fails: ErrorCode | undefined;
  const failing = async (code: ErrorCode | undefined) => {
    if (code !== undefined) throw new KmsEtcdError(code, `because of ${code}`);
  };

  beforeEach(async () => {
    provider = fakeKeyProvider();
    clock = manualClock();
    changes = [];
    probesOfV1 = 0;
    v1Fails = "key-unusable";
    provider.probeV1 = () => {
      probesOfV1++;
      return failing(v1Fails);
    };
    health = createServedHealth(
      provider,
      (kms) => ({
        intervalMs: 30_000,
        probeTimeoutMs: 2_500,
        onChange: (trouble) => changes.push(`${kms} ${trouble?.code ?? "usable"}`),
      }),
      clock,
    );
    health.start();
    await clock.advance(0);
  });
  afterEach(() => health.stop());

  const check = () => health.check(AbortSignal.timeout(1_000));
  const codeNow = () => {
    const state = health.state();
    return state instanceof KmsEtcdError ? state.code : state;
  };

  it("is not changed by a way of v1 that nobody uses, which costs no probe either", async () => {
    await clock.advance(300_000);
    await check();
    assert.equal(codeNow(), "usable");
    assert.equal(probesOfV1, 0);
  });

  it("fails with v1 once v1 is used, and v2's own part does not", async () => {
    health.usedByV1();
    await assert.rejects(check(), /because of key-unusable/);
    assert.equal(codeNow(), "key-unusable");
    assert.equal(health.v2.state(), "usable");
    await health.v2.check(AbortSignal.timeout(1_000));
    v1Fails = undefined;
    await clock.advance(5_000);
    await check();
    assert.deepEqual(changes, ["v2 usable", "v1 key-unusable", "v1 usable"]);
  });

  it("costs one more probe per interval however often v1 is used", async () => {
    v1Fails = undefined;
    for (let use = 0; use < 1_000; use++) health.usedByV1();
    await clock.advance(90_000);
    assert.equal(probesOfV1, 4);
    assert.equal(provider.probes, 4);
  });

  it("looks early at both ways after a suspicious call of v1, and at v2's alone after one of v2", async () => {
    v1Fails = undefined;
    health.usedByV1();
    await clock.advance(0);
    health.suspect("v1");
    await clock.advance(5_000);
    assert.deepEqual([provider.probes, probesOfV1], [2, 2]);
    health.suspect("v2");
    await clock.advance(5_000);
    assert.deepEqual([provider.probes, probesOfV1], [3, 2]);
  });

  it("shows v2's trouble while v1 works", async () => {
    v1Fails = undefined;
    provider.behaviour.probe = () => failing("permission-denied");
    health.usedByV1();
    await clock.advance(30_000);
    assert.equal(codeNow(), "permission-denied");
    await assert.rejects(check(), /because of permission-denied/);
  });

  it("forgets v1 an hour after its last use, and begins anew with the next", async () => {
    health.usedByV1();
    await clock.advance(3_500_000);
    assert.equal(codeNow(), "key-unusable");
    health.usedByV1();
    await clock.advance(3_500_000);
    assert.equal(codeNow(), "key-unusable");
    await clock.advance(200_000);
    assert.equal(codeNow(), "usable");
    await check();
    const before = probesOfV1;
    await clock.advance(300_000);
    assert.equal(probesOfV1, before);
    health.usedByV1();
    await clock.advance(0);
    assert.equal(codeNow(), "key-unusable");
  });

  it("probes v1 no more once it has stopped", async () => {
    health.usedByV1();
    await clock.advance(0);
    health.stop();
    health.usedByV1();
    health.suspect("v1");
    await clock.advance(300_000);
    assert.equal(probesOfV1, 1);
  });
});

it("the health of a key that both versions use alike asks for one probe for both", async () => {
  const provider = fakeKeyProvider();
  const clock = manualClock();
  const health = createServedHealth(provider, () => ({ intervalMs: 30_000, probeTimeoutMs: 2_500 }), clock);
  health.start();
  health.usedByV1();
  await clock.advance(30_000);
  assert.equal(provider.probes, 2);
  health.stop();
});
