/**
 * The metrics of Azure/kubernetes-kms and aws-encryption-provider under their own names, so that dashboards stay. Two
 * differences: the Azure histogram has finer buckets below its first, which is above every normal call, and `error_message`
 * is a word from a closed set, because texts with request ids make a new time series each.
 */
import { Counter, exponentialBuckets, Histogram, type Registry } from "prom-client";
import type { ErrorCode } from "../../core/errors";
import type { KmsMethod } from "../grpc/served-key";

export type UpstreamObserver = (
  keyId: string,
  kms: "v1" | "v2",
  method: KmsMethod,
  seconds: number,
  failure: ErrorCode | undefined,
) => void;

export function azureMetrics(registry: Registry): UpstreamObserver {
  // Upstream has eleven buckets from 0.1 to 2.0, each larger by the same factor.
  const upstream = exponentialBuckets(0.1, 20 ** 0.1, 11).map((bound) => Number(bound.toFixed(6)));
  const requests = new Histogram({
    name: "kms_request",
    help: "Requests by operation, in seconds",
    labelNames: ["operation", "status", "error_message"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, ...upstream],
    registers: [registry],
  });
  return (_keyId, _kms, method, seconds, failure) => {
    const result = failure === undefined ? { status: "success" } : { status: "error", error_message: failure };
    requests.observe({ operation: `grpc_${method}`, ...result }, seconds);
    if (method === "encrypt" || method === "decrypt") requests.observe({ operation: method, ...result }, seconds);
  };
}

export function awsMetrics(registry: Registry): UpstreamObserver {
  const labelNames = ["key_arn", "status", "operation", "version"];
  const registers = [registry];
  const operations = new Counter({
    name: "aws_encryption_provider_kms_operations_total",
    help: "AWS KMS operations",
    labelNames,
    registers,
  });
  const latency = new Histogram({
    name: "aws_encryption_provider_kms_operation_latency_ms",
    help: "AWS KMS operations, in milliseconds",
    labelNames,
    buckets: exponentialBuckets(2, 2, 14),
    registers,
  });
  return (keyId, version, operation, seconds, failure) => {
    if (operation !== "encrypt" && operation !== "decrypt") return;
    const labels = { key_arn: keyId, status: awsStatus(failure), operation, version };
    operations.inc(labels);
    latency.observe(labels, seconds * 1_000);
  };
}

function awsStatus(failure: ErrorCode | undefined): string {
  switch (failure) {
    case undefined:
      return "success";
    case "throttled":
      return "failure-throttle";
    case "corrupt":
      return "failure-corruption";
    default:
      return "failure";
  }
}
