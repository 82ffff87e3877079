import assert from "node:assert/strict";
import { KmsEtcdError } from "../../../core/errors";
import { createPluginMetrics } from "../../../plugin-server/metrics/plugin-metrics";

const throttled = new KmsEtcdError("throttled", "slow down, request 4711");
const corrupt = new KmsEtcdError("corrupt", "damaged");

async function linesOf(kind: "azure" | "aws" | "local", name: string): Promise<readonly string[]> {
  const metrics = createPluginMetrics(kind, "v1.2.3");
  const key = metrics.observe({ keyId: "key-1" }, () => "usable");
  key.ended("v2", "encrypt", "OK", 0.02, undefined);
  key.ended("v1", "decrypt", "RESOURCE_EXHAUSTED", 0.4, throttled);
  key.ended("v2", "decrypt", "INVALID_ARGUMENT", 0.003, corrupt);
  key.ended("v2", "status", "OK", 0.0001, undefined);
  key.ended("v2", "encrypt", "INTERNAL", 0.0001, new Error("request 4711"));
  const text = await metrics.text();
  assert.ok(!text.includes("4711"), "an error's text is no label");
  return text.split("\n").filter((line) => line.startsWith(name));
}

describe("the plugin's metrics", () => {
  it("count calls by key, version, method and code", async () => {
    assert.deepEqual(await linesOf("local", "kms_etcd_request_duration_seconds_count"), [
      'kms_etcd_request_duration_seconds_count{key_id="key-1",kms="v2",method="encrypt",code="OK"} 1',
      'kms_etcd_request_duration_seconds_count{key_id="key-1",kms="v1",method="decrypt",code="RESOURCE_EXHAUSTED"} 1',
      'kms_etcd_request_duration_seconds_count{key_id="key-1",kms="v2",method="decrypt",code="INVALID_ARGUMENT"} 1',
      'kms_etcd_request_duration_seconds_count{key_id="key-1",kms="v2",method="status",code="OK"} 1',
      'kms_etcd_request_duration_seconds_count{key_id="key-1",kms="v2",method="encrypt",code="INTERNAL"} 1',
    ]);
  });

  it("have the names, labels and bounds of Azure/kubernetes-kms when the key is in Azure", async () => {
    assert.deepEqual(await linesOf("azure", "kms_request_count"), [
      'kms_request_count{operation="grpc_encrypt",status="success"} 1',
      'kms_request_count{operation="encrypt",status="success"} 1',
      'kms_request_count{operation="grpc_decrypt",status="error",error_message="throttled"} 1',
      'kms_request_count{operation="decrypt",status="error",error_message="throttled"} 1',
      'kms_request_count{operation="grpc_decrypt",status="error",error_message="corrupt"} 1',
      'kms_request_count{operation="decrypt",status="error",error_message="corrupt"} 1',
      'kms_request_count{operation="grpc_status",status="success"} 1',
      'kms_request_count{operation="grpc_encrypt",status="error",error_message="internal"} 1',
      'kms_request_count{operation="encrypt",status="error",error_message="internal"} 1',
    ]);
    const bounds = (await linesOf("azure", "kms_request_bucket"))
      .filter((line) => line.includes('"grpc_status"'))
      .map((line) => /le="([^"]+)"/.exec(line)?.[1]);
    for (const bound of ["0.05", "0.1", "0.134928", "2", "+Inf"])
      assert.ok(bounds.includes(bound), `${bound} in ${bounds.join(" ")}`);
  });

  it("have the names and labels of aws-encryption-provider when the key is in AWS", async () => {
    assert.deepEqual(await linesOf("aws", "aws_encryption_provider_kms_operations_total"), [
      'aws_encryption_provider_kms_operations_total{key_arn="key-1",status="success",operation="encrypt",version="v2"} 1',
      'aws_encryption_provider_kms_operations_total{key_arn="key-1",status="failure-throttle",operation="decrypt",version="v1"} 1',
      'aws_encryption_provider_kms_operations_total{key_arn="key-1",status="failure-corruption",operation="decrypt",version="v2"} 1',
      'aws_encryption_provider_kms_operations_total{key_arn="key-1",status="failure",operation="encrypt",version="v2"} 1',
    ]);
    const [sum] = await linesOf(
      "aws",
      'aws_encryption_provider_kms_operation_latency_ms_sum{key_arn="key-1",status="success"',
    );
    assert.match(sum ?? "", / 20$/);
  });

  it("say whether each key is usable, how its probes ended, and which build this is", async () => {
    const metrics = createPluginMetrics("local", "v1.2.3");
    metrics.observe({ keyId: "good" }, () => "usable").probed("ok");
    metrics.observe({ keyId: "bad" }, () => throttled).probed("throttled");
    metrics.observe({ keyId: "new" }, () => "unknown");
    metrics.observe({ keyId: "ends" }, () => "unknown").expires(new Date(1_900_000_000_000));
    metrics.observe({ keyId: "stays" }, () => "unknown").expires("never");
    const text = await metrics.text();
    for (const line of [
      'kms_etcd_key_usable{key_id="good"} 1',
      'kms_etcd_key_usable{key_id="bad"} 0',
      'kms_etcd_key_probes_total{key_id="good",outcome="ok"} 1',
      'kms_etcd_key_probes_total{key_id="bad",outcome="throttled"} 1',
      'kms_etcd_key_expiry_timestamp_seconds{key_id="ends"} 1900000000',
      'kms_etcd_key_expiry_timestamp_seconds{key_id="stays"} +Inf',
      'kms_etcd_build_info{version="v1.2.3"} 1',
    ]) {
      assert.ok(text.includes(`${line}\n`), line);
    }
    assert.ok(!text.includes('key_usable{key_id="new"}'));
    assert.match(text, /^process_resident_memory_bytes \d+/m);
    assert.match(await metrics.text(), /^process_cpu_seconds_total/m, "a second scrape works too");
  });
});
