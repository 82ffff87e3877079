import assert from "node:assert/strict";
import { type ErrorCode, KmsEtcdError } from "../../../core/errors";
import { createKeyHealth, type KeyHealth } from "../../../plugin-server/health/key-health";
import { type FakeKeyProvider, fakeKeyProvider, hang } from "../support/fake-key-provider";
import { type ManualClock, manualClock } from "../support/manual-clock";

describe("a key's health", () => {
  let provider: FakeKeyProvider;
  let clock: ManualClock;
  let health: KeyHealth;
  let changes: string[];
  beforeEach(() => {
    provider = fakeKeyProvider();
    clock = manualClock();
    changes = [];
    health = createKeyHealth(
      provider,
      { intervalMs: 30_000, probeTimeoutMs: 2_500, onChange: (trouble) => changes.push(trouble?.code ?? "usable") },
      clock,
    );
  });
  afterEach(() => health.stop());

  const failWith = (code: ErrorCode) => {
    provider.behaviour.probe = () => Promise.reject(new KmsEtcdError(code, `because of ${code}`));
  };
  const recover = () => {
    provider.behaviour.probe = async () => {};
  };
  const codeNow = () => {
    const state = health.state();
    return state instanceof KmsEtcdError ? state.code : state;
  };
  const check = () => health.check(AbortSignal.timeout(1_000));

  it("is unknown before the first probe, and a check waits for it", async () => {
    let finish = () => {};
    provider.behaviour.probe = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    health.start();
    assert.equal(codeNow(), "unknown");
    const checked = check();
    finish();
    await checked;
    assert.equal(codeNow(), "usable");
  });

  it("gives up a check at its signal while the first probe goes on", async () => {
    provider.behaviour.probe = hang;
    health.start();
    await assert.rejects(health.check(AbortSignal.timeout(10)), /the first probe of the key has not ended yet/);
    await assert.rejects(health.check(AbortSignal.abort()), /the first probe of the key has not ended yet/);
  });

  it("costs one probe per interval however many ask", async () => {
    health.start();
    await clock.advance(0);
    await Promise.all(Array.from({ length: 1_000 }, check));
    assert.equal(provider.probes, 1);
    await clock.advance(90_000);
    assert.equal(provider.probes, 4);
  });

  it("turns with the first probe that finds the key unusable, probes more often then, and turns back with the first that works", async () => {
    health.start();
    await clock.advance(29_999);
    failWith("key-unusable");
    await clock.advance(1);
    assert.equal(codeNow(), "key-unusable");
    await assert.rejects(check(), /because of key-unusable/);
    const before = provider.probes;
    await clock.advance(20_000);
    assert.equal(provider.probes, before + 4);
    recover();
    await clock.advance(5_000);
    assert.equal(codeNow(), "usable");
    assert.deepEqual(changes, ["usable", "key-unusable", "usable"]);
  });

  for (const code of ["throttled", "unreachable", "timeout"] as const) {
    it(`outlives two probes in a row that end ${code}, and turns with the third`, async () => {
      health.start();
      await clock.advance(0);
      failWith(code);
      await clock.advance(30_000);
      assert.equal(codeNow(), "usable");
      await clock.advance(5_000);
      assert.equal(codeNow(), "usable");
      await clock.advance(5_000);
      assert.equal(codeNow(), code);
      assert.deepEqual(changes, ["usable", code]);
    });
  }

  it("counts failures in a row only", async () => {
    health.start();
    await clock.advance(0);
    for (let round = 0; round < 5; round++) {
      failWith("throttled");
      await clock.advance(30_000);
      recover();
      await clock.advance(10_000);
    }
    assert.deepEqual(changes, ["usable"]);
  });

  it("is trouble from the start when the first probe fails, whatever the reason", async () => {
    failWith("throttled");
    health.start();
    await clock.advance(0);
    assert.equal(codeNow(), "throttled");
  });

  it("ends a probe that does not end by itself, and aborts it", async () => {
    let signal: AbortSignal | undefined;
    provider.behaviour.probe = (given) => {
      signal = given;
      return new Promise(() => {});
    };
    health.start();
    await clock.advance(2_499);
    assert.equal(codeNow(), "unknown");
    await clock.advance(1);
    assert.equal(codeNow(), "timeout");
    assert.equal(signal?.aborted, true);
  });

  it("takes an error that is not classified as internal, without its text", async () => {
    provider.behaviour.probe = () => Promise.reject(new Error("secret"));
    health.start();
    await clock.advance(0);
    await assert.rejects(
      check(),
      (error) => error instanceof KmsEtcdError && error.code === "internal" && !error.message.includes("secret"),
    );
  });

  it("is looked at early when a call was suspicious, but not more often than every 5 s", async () => {
    health.start();
    await clock.advance(0);
    for (let index = 0; index < 100; index++) health.suspect();
    await clock.advance(4_999);
    assert.equal(provider.probes, 1);
    failWith("key-unusable");
    await clock.advance(1);
    assert.equal(provider.probes, 2);
    assert.equal(codeNow(), "key-unusable");
    recover();
    await clock.advance(5_000);
    await clock.advance(10_000);
    health.suspect();
    await clock.advance(0);
    assert.equal(provider.probes, 4);
  });

  it("does not change because a call was suspicious", async () => {
    health.start();
    await clock.advance(0);
    health.suspect();
    assert.equal(codeNow(), "usable");
  });

  it("probes no more once it has stopped", async () => {
    health.start();
    await clock.advance(0);
    health.stop();
    health.suspect();
    await clock.advance(300_000);
    assert.equal(provider.probes, 1);
  });
});
