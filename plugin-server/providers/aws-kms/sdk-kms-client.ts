/**
 * The KMS client on the AWS SDK: credentials, signatures, endpoints and the wire protocol are the SDK's; time limits,
 * retries and connections are ours. Loaded only when a key is opened, because the SDK takes 50 ms to load.
 */
import {
  DecryptCommand,
  type DecryptCommandInput,
  EncryptCommand,
  type EncryptCommandInput,
  KMSClient,
  type KMSClientConfig,
} from "@aws-sdk/client-kms";
import { KmsEtcdError } from "../../../core/errors";
import type { RetryBudget } from "../../config/aws";
import { withCredentialsFailure } from "./credentials-failure";
import {
  type AttemptOutcome,
  createDirectRequests,
  type DirectRequests,
  type KmsOperation,
  resultOf,
} from "./direct-requests";
import { hasRefusedSignature, hasStaleCredentials, kmsFailure } from "./failure";
import type { KmsClient } from "./kms-client";
import { createRetryStrategy, maxAttempts } from "./retry-strategy";
import { sourceArnHeaders } from "./source-arn";
import type { OutgoingRequest, Transport } from "./transport";

export interface SdkKmsClientOptions {
  readonly region: string;
  /** Undefined: the SDK's own rules, which obey AWS_ENDPOINT_URL_KMS, AWS_USE_FIPS_ENDPOINT and more. */
  readonly endpoint: string | undefined;
  readonly sourceArn: string | undefined;
  readonly retryBudget: RetryBudget;
  readonly timeBudgetMs: number;
  readonly transport: Transport;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
}

interface Sdk {
  readonly client: KMSClient;
  readonly direct: DirectRequests;
}

/** Credentials that AWS refuses are replaced at most this often, so that a revoked role does not flood the metadata service. */
const renewalIntervalMs = 10_000;

/** AWS takes signatures that are minutes old; a smaller step of the clock is none of their refusals' reason. */
const leastClockStepMs = 60_000;

/** The SDK's own search for a region in the profile; undefined where it finds none. */
export async function profileRegion(): Promise<string | undefined> {
  try {
    return await newSdk({}).config.region();
  } catch {
    return undefined;
  }
}

function newSdk(config: KMSClientConfig): KMSClient {
  // On Node 20 the SDK would print a notice about its versions of 2027 into the JSON log; the one in use is pinned.
  process.env["AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED"] ??= "true";
  return new KMSClient(config);
}

export function createSdkKmsClient(options: SdkKmsClientOptions): KmsClient {
  const now = options.now ?? (() => performance.now());
  const signals = new WeakMap<object, AbortSignal>();
  const outcomes = new WeakMap<object, AttemptOutcome>();
  const retryStrategy = createRetryStrategy({ timeBudgetMs: options.timeBudgetMs, quota: options.retryBudget, now });
  const headers = options.sourceArn === undefined ? undefined : sourceArnHeaders(options.sourceArn);
  let sdk = createSdk();
  let renewedAt = Number.NEGATIVE_INFINITY;

  function createSdk(): Sdk {
    const client = newSdk({
      region: options.region,
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
      requestHandler: options.transport.handler,
      retryStrategy,
      maxAttempts,
      // Building the chain of middleware anew for each request takes a fifth of the SDK's CPU time.
      cacheMiddleware: true,
    });
    // The transport sends a user agent that does not change, and nothing reads the rest.
    for (const name of ["loggerMiddleware", "recursionDetectionMiddleware", "getUserAgentMiddleware"]) {
      client.middlewareStack.remove(name);
    }
    // The SDK marks a provider that keeps credentials; without the marks it would keep them once more.
    const search = client.config.credentials;
    client.config.credentials = Object.assign(withCredentialsFailure(search), { memoized: true, configBound: true });
    const direct = createDirectRequests(options.transport, {
      // The SDK's own, which keeps them until they are about to expire; and the clock as it has corrected it.
      credentials: () => client.config.credentials(),
      date: () => new Date(Date.now() + client.config.systemClockOffset),
    });
    // Nothing of a signer changes from request to request: credentials and clock it asks for when it signs.
    const makeSigner = client.config.signer;
    let signer: ReturnType<typeof makeSigner> | undefined;
    client.config.signer = (scheme) => (signer ??= makeSigner(scheme));
    if (headers !== undefined) {
      client.middlewareStack.add(
        (next) => (args) => {
          Object.assign((args.request as { headers: Record<string, string> }).headers, headers);
          return next(args);
        },
        // Before the signature, which must cover them.
        { step: "build", name: "sourceArnMiddleware" },
      );
    }
    // The SDK drops its cache when a call brings options of its own, so the abort signal takes this way.
    client.middlewareStack.add(
      (next, context) => async (args) => {
        const outcome = outcomes.get(args.input);
        // The first attempt has been made already: the SDK says what its outcome means.
        outcomes.delete(args.input);
        if (outcome !== undefined && "failure" in outcome) throw outcome.failure;
        if (outcome !== undefined) return outcome;
        const signal = signals.get(args.input);
        if (signal !== undefined) options.transport.bindSignal(args.request as object, signal);
        direct.learn(context.commandName === "EncryptCommand" ? "Encrypt" : "Decrypt", args.request as OutgoingRequest);
        return next(args);
      },
      { step: "deserialize", priority: "low", name: "abortSignalMiddleware" },
    );
    return { client, direct };
  }

  /**
   * Runs `send`, and once more when what AWS refused it for has been put right since: credentials that are no good any more,
   * or the clock. The SDK itself signs again when it sees that this host's clock is wrong, and not when it has become right.
   */
  async function withRepairs<Output>(send: (sdk: Sdk) => Promise<Output>): Promise<Output> {
    const used = sdk;
    const clockOffset = used.client.config.systemClockOffset;
    try {
      return await send(used);
    } catch (thrown) {
      const clockStep = Math.abs(used.client.config.systemClockOffset - clockOffset);
      if (hasRefusedSignature(thrown) && clockStep >= leastClockStepMs) return await send(used);
      if (!hasStaleCredentials(thrown)) throw thrown;
      if (sdk === used && now() - renewedAt >= renewalIntervalMs) {
        renewedAt = now();
        sdk = createSdk();
      }
      if (sdk === used) throw thrown;
      return await send(sdk);
    }
  }

  /** One request of our own, and the whole of the SDK only where that has not brought an answer. */
  async function ask(
    operation: KmsOperation,
    { client, direct }: Sdk,
    input: object,
    body: string,
    signal: AbortSignal,
  ) {
    const outcome = await direct.send(operation, body, signal);
    const bytes = outcome !== undefined && "response" in outcome ? resultOf(operation, outcome.response) : undefined;
    if (bytes !== undefined) {
      retryStrategy.succeededAtOnce();
      return bytes;
    }
    if (outcome !== undefined) outcomes.set(input, outcome);
    signals.set(input, signal);
    return operation === "Encrypt"
      ? (await client.send(new EncryptCommand(input as EncryptCommandInput))).CiphertextBlob
      : (await client.send(new DecryptCommand(input as DecryptCommandInput))).Plaintext;
  }

  async function call(
    operation: KmsOperation,
    keyId: string,
    signal: AbortSignal,
    input: EncryptCommandInput | DecryptCommandInput,
    body: object,
  ): Promise<Uint8Array> {
    if (signal.aborted) throw abortFailure(signal, operation, keyId);
    try {
      const text = JSON.stringify(body);
      // The SDK does not stop a search for credentials when the signal aborts, hence the race.
      const bytes = await raceSignal(
        withRepairs((used) => ask(operation, used, input, text, signal)),
        signal,
      );
      return present(bytes, operation, keyId);
    } catch (thrown) {
      // TypeScript takes the earlier answer for final, but the signal may have aborted since.
      throw (signal.aborted as boolean)
        ? abortFailure(signal, operation, keyId)
        : kmsFailure(thrown, { operation, keyId });
    }
  }

  return {
    encrypt: ({ keyId, plaintext, encryptionContext, signal }) => {
      const EncryptionContext = encryptionContext as Record<string, string>;
      const input = { KeyId: keyId, Plaintext: plaintext, EncryptionContext };
      return call("Encrypt", keyId, signal, input, { ...input, Plaintext: base64(plaintext) });
    },
    decrypt: ({ keyId, blob, encryptionContext, signal }) => {
      const EncryptionContext = encryptionContext as Record<string, string>;
      const input = { CiphertextBlob: blob, EncryptionContext };
      return call("Decrypt", keyId, signal, input, { ...input, CiphertextBlob: base64(blob) });
    },
    close: () => options.transport.close(),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

function present(bytes: Uint8Array | undefined, operation: KmsOperation, keyId: string): Uint8Array {
  if (bytes !== undefined && bytes.length > 0) return bytes;
  throw new KmsEtcdError("unreachable", `${operation} for ${keyId}: AWS KMS gave an answer without a result`, {
    remedy: "check --kms-endpoint and any proxy",
  });
}

function abortFailure(signal: AbortSignal, operation: KmsOperation, keyId: string): KmsEtcdError {
  if (signal.reason instanceof KmsEtcdError) return signal.reason;
  const timedOut = signal.reason instanceof Error && signal.reason.name === "TimeoutError";
  return timedOut
    ? new KmsEtcdError("timeout", `${operation} for ${keyId}: AWS KMS did not answer in time`, {
        remedy: "check the network path to AWS KMS and to the source of the credentials",
      })
    : new KmsEtcdError("cancelled", `${operation} for ${keyId}: the caller gave up`);
}

/** `work`, or a rejection as soon as `signal` aborts. */
function raceSignal<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new Error("the call was ended from outside"));
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
