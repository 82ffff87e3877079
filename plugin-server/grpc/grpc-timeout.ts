/** How long a caller waits (grpc/grpc doc/PROTOCOL-HTTP2.md, Timeout). */

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** `header` is the value of grpc-timeout. In milliseconds: infinite when the caller doesn't say, undefined when it can't be read. */
export function grpcTimeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) return Number.POSITIVE_INFINITY;
  return /^\d{1,8}[HMSmun]$/.test(header) ? Number(header.slice(0, -1)) * (unitMs[header.slice(-1)] ?? 0) : undefined;
}
