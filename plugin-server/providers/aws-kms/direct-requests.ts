/**
 * Makes a request to AWS KMS like one that the SDK has made, with another body and signature. The SDK takes a request through
 * some thirty layers, which costs more CPU time than all the rest of a call, and of what they find out nothing changes from one
 * request to the next: address and headers are kept from a request of the SDK's own. Its signer takes 50 us, aws4 a fifth of that.
 */
import { sign } from "aws4";
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

/** What a signature takes. */
export interface Signing {
  credentials(): Promise<{
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  }>;
  /** Now, as AWS sees it. */
  date(): Date;
}

/** Of one request and no other. */
const changing = /^(authorization|content-length|x-amz-(date|security-token|content-sha256)|amz-sdk-.*)$/i;

/** What a signature names: region and service, as the SDK has found them. */
const scope = /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/([^/]+)\/([^/]+)\/aws4_request,/;

interface Template {
  readonly address: OutgoingRequest;
  readonly region: string;
  readonly service: string;
}

export function createDirectRequests(transport: Transport, signing: Signing): DirectRequests {
  const templates = new Map<KmsOperation, Template>();
  return {
    learn(operation, request) {
      if (templates.has(operation)) return;
      const { method, protocol, hostname, port, path } = request;
      const [, region, service] = scope.exec(request.headers["authorization"] ?? "") ?? [];
      if (region === undefined || service === undefined) return; // signed in another way: the SDK's alone
      const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !changing.test(name)));
      const address = { method, protocol, hostname, ...(port === undefined ? {} : { port }), path, headers };
      templates.set(operation, { address, region, service });
    },
    async send(operation, body, signal) {
      const template = templates.get(operation);
      if (template === undefined) return undefined;
      const { address, region, service } = template;
      try {
        const { accessKeyId, secretAccessKey, sessionToken } = await signing.credentials();
        const headers: Record<string, string> = {
          ...address.headers,
          "content-length": String(Buffer.byteLength(body)),
          "X-Amz-Date": signing
            .date()
            .toISOString()
            .replace(/[-:]|\.\d+/g, ""),
          ...(sessionToken === undefined ? {} : { "X-Amz-Security-Token": sessionToken }),
        };
        // It keeps the key of the day, which the SDK's signer makes anew as often as it looks at the credentials.
        const signed = sign(
          { service, region, method: address.method, path: address.path, headers, body },
          { accessKeyId, secretAccessKey },
        );
        const request = { ...address, headers: signed.headers as Record<string, string>, body };
        const response = await transport.post(request, signal);
        if (response !== undefined) return { response };
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
