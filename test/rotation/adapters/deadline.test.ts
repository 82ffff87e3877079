import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { createServer, type Server } from "node:net";
import { withDeadline } from "../../../rotation/adapters/deadline";
import { etcdMeasurement } from "../../../rotation/adapters/kubernetes/measure-by-etcd";

const listeners = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

/** What Node says of signals while `work` goes on: a run that looks once a second would say it for hours. */
async function warningsOf(work: () => Promise<unknown>): Promise<readonly string[]> {
  const said: string[] = [];
  const hear = (warning: Error) => {
    if (warning.name === "MaxListenersExceededWarning") said.push(warning.message);
  };
  process.on("warning", hear);
  await work();
  // Warnings are emitted on the next tick.
  await new Promise((resolve) => setImmediate(resolve));
  process.off("warning", hear);
  return said;
}

describe("a time limit inside a signal", () => {
  it("many requests at once => one listener to the caller's signal, no warning, and none is left", async () => {
    const { signal } = new AbortController();
    let most = 0;
    const said = await warningsOf(() =>
      withDeadline(signal, 5_000, async (limited) => {
        const requests = Array.from({ length: 40 }, () => withDeadline(limited, 5_000, () => Promise.resolve()));
        most = Math.max(most, listeners(signal));
        assert.equal(listeners(limited), 40);
        await Promise.all(requests);
        assert.equal(listeners(limited), 0);
      }),
    );
    assert.deepEqual([most, listeners(signal), said], [1, 0, []]);
  });

  it("the caller stops, or the time is over => the work's signal is aborted", async () => {
    const caller = new AbortController();
    const aborted = (limited: AbortSignal) =>
      new Promise<unknown>((resolve) => limited.addEventListener("abort", () => resolve(limited.reason)));
    const stopped = withDeadline(caller.signal, 60_000, aborted);
    caller.abort("stop");
    assert.equal(await stopped, "stop");
    assert.match(String(await withDeadline(new AbortController().signal, 1, aborted)), /out of time/);
  });

  describe("around a look at etcd's members", () => {
    const servers: Server[] = [];
    before(async () => {
      for (let index = 0; index < 5; index += 1) {
        // It takes connections, and hangs up: what has failed has to let go too.
        const server = createServer((socket) => socket.destroy());
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        servers.push(server);
      }
    });
    after(() => Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve)))));

    it("of five members => one listener to the run's signal, no warning, and none is left", async () => {
      const endpoints = servers.map((server) => {
        const address = server.address();
        return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
      });
      const etcd = etcdMeasurement({ endpoints });
      const { signal } = new AbortController();
      let during = 0;
      const said = await warningsOf(async () => {
        const look = etcd.members(signal);
        during = listeners(signal);
        assert.equal(await look, undefined);
      });
      etcd.close();
      assert.deepEqual([during, listeners(signal), said], [1, 0, []]);
    });
  });
});
