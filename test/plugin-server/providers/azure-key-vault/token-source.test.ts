import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../../core/errors";
import type { Outcome } from "../../../../plugin-server/providers/azure-key-vault/attempts";
import { createTokenSource, type Token } from "../../../../plugin-server/providers/azure-key-vault/token-source";

const hour = 3_600_000;
const minute = 60_000;
const patient = new AbortController().signal;
const limits = { limitMs: 200, secondAfterMs: 100, firstPauseMs: 2 };

/** An issuer that numbers its tokens, and a clock that stands still until a test moves it. */
function issuer(lifetimeMs = hour) {
  let now = 1_000;
  let asked = 0;
  let next: (() => Promise<Outcome<Token>>) | undefined;
  const source = createTokenSource(
    async () => {
      asked += 1;
      return next === undefined ? { ok: { value: `token ${asked}`, lifetimeMs } } : next();
    },
    "the issuer",
    () => now,
    limits,
  );
  return {
    source,
    asked: () => asked,
    pass: (ms: number) => {
      now += ms;
    },
    behave: (behaviour: typeof next) => {
      next = behaviour;
    },
    fail: (error: KmsEtcdError, retry: "never" | "later", retryAfterMs?: number) => {
      next = async () => ({ failed: { error, retry, retryAfterMs } });
    },
    recover: () => {
      next = undefined;
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const trouble = new KmsEtcdError("unreachable", "the issuer is down");

describe("the source of tokens", () => {
  it("asks once for all who wait, and not again while the token is good", async () => {
    const { source, asked, pass } = issuer();
    assert.deepEqual(await Promise.all([source.get(patient), source.get(patient)]), ["token 1", "token 1"]);
    pass(40 * minute);
    assert.equal(await source.get(patient), "token 1");
    await turn();
    assert.equal(asked(), 1);
  });

  it("renews ahead in the background: the old token serves meanwhile", async () => {
    const { source, asked, pass, behave } = issuer();
    await source.get(patient);
    pass(46 * minute);
    let deliver: (outcome: Outcome<Token>) => void = () => undefined;
    behave(() => new Promise((resolve) => (deliver = resolve)));
    assert.equal(await source.get(patient), "token 1");
    assert.equal(await source.get(patient), "token 1");
    assert.equal(asked(), 2, "one renewal for all");
    deliver({ ok: { value: "new", lifetimeMs: hour } });
    await turn();
    assert.equal(await source.get(patient), "new");
  });

  it("serves the old token to its end while renewals fail, and asks only now and then", async () => {
    const { source, asked, pass, fail } = issuer();
    await source.get(patient);
    pass(46 * minute);
    fail(trouble, "never");
    for (let index = 0; index < 20; index += 1) {
      assert.equal(await source.get(patient), "token 1");
      await turn();
    }
    assert.equal(asked(), 2);
    pass(31_000);
    assert.equal(await source.get(patient), "token 1");
    await turn();
    assert.equal(asked(), 3);
    assert.equal(source.missing(), undefined);
  });

  it("gives out no token that might end on its way", async () => {
    const { source, pass } = issuer();
    await source.get(patient);
    pass(hour - 9_000);
    assert.equal(await source.get(patient), "token 2");
  });

  it("says why there is none, and asks again only after a while", async () => {
    const { source, asked, pass, fail, recover } = issuer();
    fail(new KmsEtcdError("key-unusable", "a wrong secret"), "never");
    await assert.rejects(source.get(patient), { message: "a wrong secret" });
    await assert.rejects(source.get(patient), { message: "a wrong secret" });
    assert.equal(asked(), 1);
    assert.equal(source.missing()?.message, "a wrong secret");
    recover();
    pass(2_001);
    assert.equal(await source.get(patient), "token 2");
    assert.equal(source.missing(), undefined);
  });

  it("leaves an issuer alone for as long as it asks", async () => {
    const { source, asked, pass, fail, recover } = issuer();
    fail(new KmsEtcdError("throttled", "too many requests"), "later", 30_000);
    await assert.rejects(source.get(patient), { code: "throttled" });
    recover();
    pass(29_000);
    await assert.rejects(source.get(patient), { code: "throttled" });
    assert.equal(asked(), 1);
    pass(1_001);
    assert.equal(await source.get(patient), "token 2");
  });

  it("tries again by itself when the issuer fails for a moment", async () => {
    const { source, asked, behave, recover } = issuer();
    behave(async () => {
      if (asked() === 2) recover();
      return { failed: { error: trouble, retry: "later" } };
    });
    assert.equal(await source.get(patient), "token 3");
  });

  it("lets a caller go whose time is up, with the reason, and keeps what arrives afterwards", async () => {
    const { source, behave } = issuer();
    let deliver: (outcome: Outcome<Token>) => void = () => undefined;
    behave(() => new Promise((resolve) => (deliver = resolve)));
    await assert.rejects(source.get(AbortSignal.timeout(10)), {
      code: "timeout",
      message: "the issuer gave no token in time",
    });
    deliver({ ok: { value: "late", lifetimeMs: hour } });
    await turn();
    assert.equal(await source.get(patient), "late");
  });

  it("replaces a token that the vault refuses, once, until one is accepted", async () => {
    const { source, asked, pass } = issuer();
    const first = await source.get(patient);
    source.accepted(first);
    source.refused(first);
    const second = await source.get(patient);
    assert.notEqual(second, first);
    source.refused(first);
    source.refused(second);
    assert.equal(await source.get(patient), second);
    assert.equal(asked(), 2);
    pass(31_000);
    source.refused(second);
    assert.notEqual(await source.get(patient), second);
    assert.equal(asked(), 3);
  });
});
