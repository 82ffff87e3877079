import assert from "node:assert/strict";
import fc from "fast-check";
import { metricsScan } from "../../../../rotation/adapters/hosts/metrics-scan";

const text = `# HELP apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds [ALPHA] Timestamp
# TYPE apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds gauge
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:id",status="failure"} 1.7e+09
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{apiserver_id_hash="sha256:id",status="success"} 1.7000000605e+09
apiserver_encryption_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:id",status="failure"} 3
apiserver_encryption_config_controller_automatic_reloads_total{apiserver_id_hash="sha256:id",status="success"} 9
apiserver_encryption_config_controller_last_config_info{apiserver_id_hash="sha256:id",hash="sha256:abc"} 1
other_process_start_time_seconds 5
# a comment about process_start_time_seconds 6
apiserver_envelope_encryption_key_id_hash_last_timestamp_seconds{apiserver_id_hash="sha256:id",key_id_hash="sha256:new",provider_name="changed",transformation_type="from_storage"} 1.7000009e+09
apiserver_envelope_encryption_key_id_hash_last_timestamp_seconds{apiserver_id_hash="sha256:id",key_id_hash="sha256:new",provider_name="changed",transformation_type="to_storage"} 1.7000006e+09
apiserver_envelope_encryption_key_id_hash_last_timestamp_seconds{apiserver_id_hash="sha256:id",key_id_hash="sha256:old",provider_name="changed",transformation_type="to_storage"} 1.7000002e+09
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash="sha256:id",key_id_hash="sha256:new",provider_name="changed"} 1.7000005e+09
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash="sha256:id",key_id_hash="sha256:old",provider_name="changed"} 1.7000003e+09
apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{apiserver_id_hash="sha256:id",key_id_hash="sha256:only",provider_name="same"} 1.7000005e+09
process_start_time_seconds 1.70000000012e+09
process_virtual_memory_bytes 1
`;

function scan(chunks: readonly Buffer[]) {
  const scanner = metricsScan();
  for (const chunk of chunks) scanner.push(chunk);
  return scanner.result();
}

const expected = {
  processStartedAt: 1_700_000_000_120,
  apiServerIdHash: "sha256:id",
  loadedHash: "sha256:abc",
  lastSuccess: 1_700_000_060_500,
  lastFailure: 1_700_000_000_000,
  failures: 3,
  heardKeyIds: [
    // Asked once a minute, it has heard of the new one that long after the last answer with the old one.
    { provider: "changed", keyIdHash: "sha256:new", since: 1_700_000_370_000 },
    { provider: "same", keyIdHash: "sha256:only", since: 0 },
  ],
  lastWrites: new Map([["changed", 1_700_000_600_000]]),
};

describe("the metrics scan", () => {
  it("finds the same, wherever the text is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 12 }), (cuts) => {
        const bytes = Buffer.from(text);
        const ends = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        assert.deepEqual(scan(ends.slice(1).map((end, index) => bytes.subarray(ends[index], end))), expected);
      }),
    );
  });

  it("a line that is cut off at the end does not count", () => {
    assert.equal(scan([Buffer.from("process_start_time_seconds 1.7e+0")]).processStartedAt, undefined);
  });

  it("before 1.30 failures have a name of their own; a server without any of it tells nothing", () => {
    assert.equal(
      scan([
        Buffer.from(
          'apiserver_encryption_config_controller_automatic_reload_failures_total{apiserver_id_hash="x"} 2\n',
        ),
      ]).failures,
      2,
    );
    assert.deepEqual(scan([Buffer.from("go_threads 1\n")]), {
      processStartedAt: undefined,
      apiServerIdHash: undefined,
      loadedHash: undefined,
      lastSuccess: undefined,
      lastFailure: undefined,
      failures: 0,
      heardKeyIds: [],
      lastWrites: new Map(),
    });
  });
});
