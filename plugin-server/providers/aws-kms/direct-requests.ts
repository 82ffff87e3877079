/**
 * Makes a request to AWS KMS like one that the SDK has made, with another body and signature. The SDK takes a request through
 * some thirty layers, which costs more CPU time than all the rest of a call, and of what they find out nothing changes from one
 * request to the next: address and headers are kept from a request of the SDK's own, and its signer signs.
 */
import type { IncomingResponse, OutgoingRequest, Transport } from "./transport";

export type KmsOperation = "Encrypt" | "Decrypt";

/** How one attempt went; the SDK can be shown it as its own. */
export type AttemptOutcome = { readonly response: IncomingResponse } | { readonly failure: unknown };

export interface DirectRequests {
  /** Told of each request that the SDK has signed. */
  learn(operation: KmsOperation, request: OutgoingRequest): void;
  /** One attempt. Undefined until the SDK has made a request for this operation. */
  send(operation: KmsOperation, body: string, signal: AbortSignal): Promise<AttemptOutcome | undefined>;
}

/** Signs as the SDK has signed before: same credentials, region and service, and the clock as the SDK has corrected it. */
export type Sign = (request: object) => Promise<unknown>;

/** Of one request and no other. */
const changing = /^(authorization|content-length|x-amz-(date|security-token|content-sha256)|amz-sdk-.*)$/i;

/** @param sign undefined until the SDK has signed. */
export function createDirectRequests(transport: Transport, sign: () => Sign | undefined): DirectRequests {
  const templates = new Map<KmsOperation, OutgoingRequest>();
  return {
    learn(operation, request) {
      if (templates.has(operation)) return;
      const { method, protocol, hostname, port, path } = request;
      const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !changing.test(name)));
      templates.set(operation, { method, protocol, hostname, ...(port === undefined ? {} : { port }), path, headers });
    },
    async send(operation, body, signal) {
      const template = templates.get(operation);
      const signed = sign();
      if (template === undefined || signed === undefined) return undefined;
      try {
        const headers = { ...template.headers, "content-length": String(Buffer.byteLength(body)) };
        const request = (await signed({ ...template, headers, query: {}, body })) as OutgoingRequest;
        transport.bindSignal(request, signal);
        return await transport.handler.handle(request);
      } catch (failure) {
        return { failure };
      }
    },
  };
}

const resultNames: Readonly<Record<KmsOperation, string>> = { Encrypt: "CiphertextBlob", Decrypt: "Plaintext" };

/** The bytes in a good answer; undefined for anything else, which is the SDK's to judge. */
export function resultOf(operation: KmsOperation, { statusCode, body }: IncomingResponse): Uint8Array | undefined {
  if (statusCode !== 200) return undefined;
  try {
    const answer = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8")) as Readonly<
      Record<string, unknown>
    > | null;
    const text = answer?.[resultNames[operation]];
    return typeof text === "string" && /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, "base64") : undefined;
  } catch {
    return undefined;
  }
}
