import assert from "node:assert/strict";
import { type LoadedInput, loadedEvidence, reloadsVisibly } from "../../../../rotation/adapters/hosts/loaded-config";

const metrics = {
  processStartedAt: 1_000_000,
  apiServerIdHash: "x",
  loadedHash: undefined,
  lastSuccess: undefined,
  lastFailure: undefined,
  failures: 0,
  heardKeyIds: [],
  lastWrites: new Map<string, number>(),
};
const file = {
  hash: "sha256:file",
  config: { blocks: [{ resources: ["secrets"], providers: [{ kind: "identity" as const }] }] },
  writtenAt: 2_000_000,
};
const input = (more: Partial<LoadedInput>): LoadedInput => ({
  metrics,
  namesItsHash: false,
  processStartedAt: 1_000_000,
  reload: "hot",
  requestTimeout: 60_000,
  now: 3_000_000,
  file,
  ...more,
});
const hashOf = (more: Partial<LoadedInput>) => loadedEvidence(input(more)).hash;
const success = (lastSuccess: number, lastFailure?: number) => ({ metrics: { ...metrics, lastSuccess, lastFailure } });

describe("which configuration is loaded", () => {
  it("before 1.34 a write under another provider than the file's, after every earlier request has ended => not loaded", () => {
    const kms = (name: string) => ({ kind: "kms" as const, apiVersion: "v2" as const, name, endpoint: "unix:///s" });
    const written = { ...file, config: { blocks: [{ resources: ["secrets"], providers: [kms("new"), kms("old")] }] } };
    const started = 2_100_000;
    const wrote = (provider: string, at: number) =>
      loadedEvidence(
        input({
          file: written,
          processStartedAt: started,
          metrics: { ...metrics, processStartedAt: started, lastWrites: new Map([[provider, at]]) },
        }),
      );
    assert.equal(wrote("new", started + 70_000).hash, "sha256:file");
    assert.equal(wrote("old", started + 50_000).hash, "sha256:file", "a request from before");
    assert.deepEqual(
      [wrote("old", started + 61_000).hash, wrote("old", started + 61_000).basis],
      [undefined, "process start after the write, but it has encrypted with old since"],
    );
  });

  it("before 1.34 a time in the future of the host's clock, as after the clock was set back => evidence of nothing", () => {
    const hour = 3_600_000;
    const [started, reloaded, written] = [
      { processStartedAt: 3_000_000 + hour },
      success(3_000_000 + hour),
      { processStartedAt: 3_000_000 + 2 * hour, file: { ...file, writtenAt: 3_000_000 + hour } },
    ].map((more) => loadedEvidence(input(more)));
    assert.deepEqual([started?.hash, reloaded?.hash, written?.hash], [undefined, undefined, undefined]);
    assert.match(started?.basis ?? "", /^the process start lies in the future of the host's clock$/);
    assert.match(reloaded?.basis ?? "", /^the last reload lies in the future/);
    assert.equal(hashOf({ processStartedAt: 3_002_000 }), "sha256:file", "clocks are not measured to the second");
  });

  it("from 1.34 the server's own hash decides, whatever the file is", () => {
    const evidence = loadedEvidence(
      input({ metrics: { ...metrics, loadedHash: "sha256:own", lastSuccess: 2_500_000, failures: 4 } }),
    );
    assert.deepEqual(evidence, {
      hash: "sha256:own",
      since: 2_500_000,
      basis: "apiserver_encryption_config_controller_last_config_info",
      failures: 4,
    });
  });

  it("a hash without a reload was loaded at the process start", () => {
    assert.equal(loadedEvidence(input({ metrics: { ...metrics, loadedHash: "sha256:own" } })).since, 1_000_000);
  });

  it("from 1.34 a server that names no hash has loaded nothing, whenever it started", () => {
    assert.equal(hashOf({ namesItsHash: true, processStartedAt: 2_500_000, reload: "restart" }), undefined);
  });

  it("before 1.34: a process that started after the write has the file, one that started before has proven nothing", () => {
    assert.equal(hashOf({ processStartedAt: 2_000_001, reload: "restart" }), "sha256:file");
    assert.equal(hashOf({ processStartedAt: 2_000_000, reload: "restart" }), undefined);
  });

  it("before 1.34: a time that a copy may have kept is named as what it is", () => {
    const kept = { file: { ...file, byItself: true } };
    const start = loadedEvidence(input({ ...kept, processStartedAt: 2_000_001, reload: "restart" }));
    assert.equal(start.basis, "process start after the write, by the file's modification time alone");
    const reload = loadedEvidence(input({ ...kept, ...success(2_015_001), now: 2_015_002 }));
    assert.match(reload.basis, /seconds after the write, by the file's modification time alone$/);
  });

  it("before 1.34: a reload that began after the write has the file", () => {
    assert.equal(hashOf({ ...success(2_015_001), now: 2_015_002 }), "sha256:file");
    assert.equal(hashOf({ ...success(2_015_001), now: 2_015_002, reload: "restart" }), undefined);
  });

  it("before 1.34: a reload that may have begun before the write counts once another poll has found nothing newer", () => {
    assert.equal(hashOf({ ...success(2_005_000), now: 2_060_000 }), undefined);
    assert.equal(hashOf({ ...success(2_005_000), now: 2_081_000 }), "sha256:file");
    assert.equal(
      hashOf({ ...success(2_005_000, 2_070_000), now: 2_081_000 }),
      undefined,
      "a failure since: the file is not what is loaded",
    );
  });

  it("before 1.34: a reload may take as long as the plugins' timeouts allow", () => {
    const slow = { kind: "kms" as const, apiVersion: "v1" as const, name: "a", endpoint: "unix:///a", timeout: "20s" };
    const config = { blocks: [{ resources: ["secrets"], providers: [slow] }] };
    const late = { ...success(2_050_000), now: 2_051_000 };
    assert.equal(hashOf(late), "sha256:file");
    assert.equal(hashOf({ ...late, file: { ...file, config } }), undefined);
  });

  it("before 1.34: a reload before the write proves nothing", () => {
    assert.equal(hashOf(success(1_999_999)), undefined);
    assert.equal(hashOf({ file: undefined }), undefined);
  });

  it("a server counts as reloading by itself from the version on that says so", () => {
    assert.equal(reloadsVisibly("v1.36.3", true), true);
    assert.equal(reloadsVisibly("v1.28.0-eks-1", true), true);
    assert.equal(reloadsVisibly("v1.27.16", true), false);
    assert.equal(reloadsVisibly("v1.36.3", false), false);
  });
});
