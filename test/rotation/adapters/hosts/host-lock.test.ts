import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import type { KmsEtcdError } from "../../../../core/errors";
import { withHostLock } from "../../../../rotation/adapters/hosts/host-lock";
import { isAlive, lockFileName, ownLock, parseLockFileName } from "../../../../rotation/adapters/hosts/lock-owner";
import { lockIdentity, memoryDisk, memoryHost, put } from "./memory-host";

const directory = "/host/backups";
const other = (engine: number) => `${directory}/${lockFileName(lockIdentity(engine).own())}`;
const locks = (files: ReadonlyMap<string, unknown>) =>
  [...files.keys()].filter((path) => path.includes(".kms-etcd-lock."));

describe("a host's lock", () => {
  it("another engine lives => conflict out of patience, naming the lock, and its lock stays", async () => {
    const disk = memoryDisk({ [other(7)]: "" });
    const waiting = withHostLock(memoryHost(disk), directory, async () => assert.fail("must not run"), {
      identity: lockIdentity(1),
      patience: 50,
    });
    await assert.rejects(
      waiting,
      (error: KmsEtcdError) => error.code === "conflict" && error.message.includes(other(7)),
    );
    assert.deepEqual(locks(disk.files), [other(7)]);
  });

  it("the other engine finishes => the waiting one goes on", async () => {
    const disk = memoryDisk({ [other(7)]: "" });
    let looks = 0;
    const turn = async () => {
      if (++looks === 20) disk.files.delete(other(7));
    };
    const host = memoryHost(disk, undefined, turn);
    assert.equal(await withHostLock(host, directory, async () => "done", { identity: lockIdentity(1) }), "done");
  });

  it("the other engine is dead => its lock is removed at once", async () => {
    const disk = memoryDisk({ [other(7)]: "" });
    await withHostLock(memoryHost(disk), directory, async () => {}, {
      identity: lockIdentity(1, new Set([7])),
      patience: 0,
    });
    assert.deepEqual(locks(disk.files), []);
  });

  it("an engine on another machine => its lock counts until it is a minute old by the host's own clock", async () => {
    const elsewhere = { own: lockIdentity(1).own, isAlive: () => undefined };
    const disk = memoryDisk();
    put(disk, other(7), Buffer.alloc(0), 0o600);
    disk.now += 59_000;
    await assert.rejects(
      withHostLock(memoryHost(disk), directory, async () => {}, { identity: elsewhere, patience: 0 }),
    );
    disk.now += 2_000;
    await withHostLock(memoryHost(disk), directory, async () => {}, { identity: elsewhere, patience: 0 });
    assert.deepEqual(locks(disk.files), []);
  });

  it("the action throws => the lock is given back, and the error is the action's", async () => {
    const disk = memoryDisk();
    const failing = withHostLock(memoryHost(disk), directory, () => Promise.reject(new Error("mine")), {
      identity: lockIdentity(1),
    });
    await assert.rejects(failing, /mine/);
    assert.deepEqual(locks(disk.files), []);
  });
});

describe("a lock's owner", () => {
  it("this process lives, and its lock's file name says who it is", () => {
    const owner = ownLock();
    assert.deepEqual(parseLockFileName(lockFileName(owner)), owner);
    assert.equal(isAlive(owner), true);
    assert.notEqual(ownLock().nonce, owner.nonce);
  });

  it("a process that has ended is dead, and so is one whose pid has been given to another", () => {
    const ended = spawnSync(process.execPath, ["-e", "0"]).pid;
    assert.equal(isAlive({ ...ownLock(), pid: ended }), false);
    assert.equal(isAlive({ ...ownLock(), startedAt: "1" }), process.platform === "linux" ? false : true);
  });

  it("a process elsewhere is neither", () => {
    assert.equal(isAlive({ ...ownLock(), machine: "00" }), undefined);
  });

  it("other files are no locks", () => {
    for (const name of ["x.yaml", ".kms-etcd-tmp.00", ".kms-etcd-lock.zz.1.1.1"])
      assert.equal(parseLockFileName(name), undefined);
  });
});
