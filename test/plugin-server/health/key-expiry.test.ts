import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../core/errors";
import { createKeyExpiry } from "../../../plugin-server/health/key-expiry";
import type { KeyProvider } from "../../../plugin-server/key-provider";
import { createLog } from "../../../plugin-server/log";
import { fakeKeyProvider } from "../support/fake-key-provider";
import { manualClock } from "../support/manual-clock";

const hour = 3_600_000;

function rig(expiry: KeyProvider["expiry"]) {
  const clock = manualClock();
  const seen: (Date | "never")[] = [];
  const lines: string[] = [];
  const log = createLog({ format: "json", level: "info" }, { write: (line) => lines.push(line) });
  const provider: KeyProvider = { ...fakeKeyProvider(), ...(expiry === undefined ? {} : { expiry }) };
  const watch = createKeyExpiry(provider, { timeoutMs: 2_000, log, onExpiry: (at) => seen.push(at) }, clock);
  return { clock, seen, lines, watch };
}

describe("a key's expiry", () => {
  it("is looked up at the start, and again every hour, so that an extension is seen", async () => {
    const dates = [new Date("2027-01-01"), new Date("2028-01-01"), "never"] as const;
    let asked = 0;
    const { clock, seen, watch } = rig(async () => dates[asked++] ?? assert.fail("asked too often"));
    watch.start();
    await clock.advance(0);
    assert.deepEqual(seen, dates.slice(0, 1));
    await clock.advance(2 * hour);
    assert.deepEqual(seen, dates);
  });

  it("that may not be read => the log says so, and the vault is left alone for six hours", async () => {
    let asked = 0;
    const { clock, seen, lines, watch } = rig(() => {
      asked++;
      return Promise.reject(new KmsEtcdError("permission-denied", "status 403"));
    });
    watch.start();
    await clock.advance(5 * hour);
    assert.deepEqual([asked, seen.length, lines.length], [1, 0, 1]);
    assert.match(lines[0] ?? "", /status 403.*when the key expires is not known/);
    await clock.advance(hour);
    assert.equal(asked, 2);
  });

  it("of a vault that cannot be reached yet => asked again after five minutes", async () => {
    let asked = 0;
    const { clock, seen, watch } = rig(async () => {
      if (asked++ === 0) throw new KmsEtcdError("unreachable", "no route");
      return "never";
    });
    watch.start();
    await clock.advance(hour / 12);
    assert.deepEqual(seen, ["never"]);
  });

  it("is not looked up any more once the plugin stops, and an answer that is late counts for nothing", async () => {
    let answer: (at: Date) => void = () => assert.fail("nobody has asked");
    let asked = 0;
    const { clock, seen, watch } = rig(() => {
      asked++;
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    watch.start();
    watch.stop();
    answer(new Date());
    await clock.advance(24 * hour);
    assert.deepEqual([asked, seen], [1, []]);
  });

  it("of a key that has none, as a local one => nobody asks", async () => {
    const { clock, seen, watch } = rig(undefined);
    watch.start();
    await clock.advance(hour);
    watch.stop();
    assert.deepEqual(seen, []);
  });
});
