import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireFreePort, reservePorts } from "../../../control-plane/ports/port-reservations";

describe("ports of control planes", () => {
  const directory = mkdtempSync(join(tmpdir(), "kms-etcd-ports-"));
  const before_ = process.env["KMS_ETCD_CACHE"];
  let server: Server;
  let taken: number;

  before((done) => {
    process.env["KMS_ETCD_CACHE"] = directory;
    server = createServer().listen(0, "127.0.0.1", () => {
      taken = (server.address() as { port: number }).port;
      done();
    });
  });
  after((done) => {
    if (before_ === undefined) delete process.env["KMS_ETCD_CACHE"];
    else process.env["KMS_ETCD_CACHE"] = before_;
    rmSync(directory, { recursive: true });
    server.close(done);
  });

  it("a port that is taken is refused with its number and its owner", async () => {
    await assert.rejects(requireFreePort(taken), (error: Error) => {
      assert.match(error.message, new RegExp(`port ${taken} of 127\\.0\\.0\\.1 is taken`));
      if (process.platform === "linux") assert.match(error.message, new RegExp(`process ${process.pid} `));
      return true;
    });
    await assert.rejects(reservePorts(directory, [taken]), /is taken/);
  });

  it("ports of control planes that exist are not given away, running or not; those of one that is gone are free again", async () => {
    const [one, two] = [mkdtempSync(join(directory, "one-")), mkdtempSync(join(directory, "two-"))];
    const all = (
      await Promise.all(
        [one, two].map((owner) =>
          reservePorts(
            owner,
            Array.from({ length: 40 }, () => undefined),
          ),
        ),
      )
    ).flat();
    assert.equal(new Set(all).size, 80);
    const [free] = await reservePorts(one, [undefined]);
    assert.ok(free !== undefined && !all.slice(40).includes(free));
    rmSync(two, { recursive: true });
    const given = all[40];
    assert.deepEqual(await reservePorts(one, [given, undefined].slice(0, 1)), [given]);
  });
});
