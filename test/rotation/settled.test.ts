import assert from "node:assert/strict";
import { firstObservation } from "../../rotation/first-observation";
import { settledSince } from "../../rotation/settled";
import { randomFrom } from "./random";
import { simulateCluster } from "./simulated-cluster";

const minute = 60_000;

/** One server that reads its file once a minute, and when its file was written, its process began and the file was loaded. */
async function observed(times: { written: number; started: number; loaded: number }) {
  const cluster = simulateCluster({ hosts: 1, reload: "hot", objects: 1, random: randomFrom(1) });
  const seen = await cluster.fleet.observe(new AbortController().signal);
  const [server] = seen.servers;
  assert.ok(server?.file);
  const file = { ...server.file, writtenAt: times.written };
  const changed = {
    ...server,
    file,
    processStartedAt: times.started,
    loaded: { ...server.loaded, since: times.loaded },
  };
  return firstObservation({ ...seen, servers: [changed] }, 10 * minute);
}

describe("from when on every stored write uses the goal's key", () => {
  it("a file that was there before the process began => from its start: it has no request from before", async () => {
    const look = await observed({ written: minute, started: 2 * minute, loaded: 2 * minute + 3_000 });
    assert.equal(settledSince(undefined, look, true), 2 * minute);
  });

  it("a file that was written after the process began, and reloaded seconds later => not before its requests have ended", async () => {
    const look = await observed({ written: 2 * minute + 1_000, started: 2 * minute, loaded: 2 * minute + 4_000 });
    assert.equal(settledSince(undefined, look, true), 2 * minute + 4_000 + 15_000);
  });

  it("a file from before that was reloaded much later => not before its requests have ended", async () => {
    const look = await observed({ written: minute, started: 2 * minute, loaded: 5 * minute });
    assert.equal(settledSince(undefined, look, true), 5 * minute + 15_000);
  });

  it("another key writes somewhere => not yet, and what was known is forgotten", async () => {
    const look = await observed({ written: minute, started: 2 * minute, loaded: 2 * minute });
    assert.equal(settledSince(2 * minute, look, false), undefined);
  });
});
