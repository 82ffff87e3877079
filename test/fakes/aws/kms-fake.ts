/**
 * A strict AWS KMS for tests, on a real socket: JSON 1.1 over HTTP or TLS, signatures checked, keys with states and policies,
 * and faults on order. It works alone, without Python, and in front of moto, which then does the cryptography
 * (`cryptography`): moto itself knows no key states, no throttling and no faults.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault, OrderedFault } from "./faults";
import { KmsWireError } from "./kms-error";
import {
  createKmsKeys,
  type EncryptionContext,
  type KmsAction,
  type KmsCryptography,
  type KmsKeys,
  ownCryptography,
} from "./kms-keys";
import { type AccessKey, verifySignature } from "./sigv4";

export const fakeAccount = "123456789012";

/** What a request looked like, for assertions. */
export interface SeenRequest {
  readonly action: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  /** Milliseconds, monotonic. */
  readonly at: number;
}

export interface KmsFake {
  readonly url: string;
  readonly keys: KmsKeys;
  /** The access keys that it knows; at first only `defaultAccessKey`. */
  readonly accessKeys: Map<string, AccessKey>;
  readonly requests: readonly SeenRequest[];
  /** Connections that were opened so far. */
  readonly connections: () => number;
  /** Faults hit in the order in which they are ordered, each as often as it says. */
  order(fault: OrderedFault): void;
  /** How far its clock is ahead of ours. */
  setClockAhead(milliseconds: number): void;
  /** Requests that have no whole answer yet, and whose connection still stands. */
  readonly underWay: () => number;
  /** Resolves when `condition` holds; it is looked at again whenever a request comes or ends. */
  until(condition: () => boolean): Promise<void>;
  /** Ends idle connections, as a load balancer does when they have idled for long. */
  closeIdleConnections(): void;
  close(): Promise<void>;
}

export const defaultAccessKey: AccessKey = {
  accessKeyId: "AKIAFAKEFAKEFAKEFAKE",
  secretAccessKey: "fake/secret+access/key+of+forty+characters",
};

export async function startKmsFake(
  options: {
    readonly region?: string;
    readonly cryptography?: KmsCryptography;
    readonly tls?: { readonly key: string; readonly cert: string };
    readonly port?: number;
  } = {},
): Promise<KmsFake> {
  const region = options.region ?? "us-east-1";
  const cryptography = options.cryptography ?? ownCryptography;
  const keys = createKmsKeys(fakeAccount, region);
  const accessKeys = new Map([[defaultAccessKey.accessKeyId, defaultAccessKey]]);
  const requests: SeenRequest[] = [];
  const orders: { fault: Fault; action: KmsAction | undefined; left: number }[] = [];
  const sockets = new Set<Socket>();
  const waiting = new Set<() => void>();
  let connections = 0;
  let underWay = 0;
  let clockAhead = 0;

  const listener = (request: IncomingMessage, response: ServerResponse): void => void answer(request, response);
  const server = options.tls === undefined ? createServer(listener) : createTlsServer(options.tls, listener);
  server.on("connection", (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  // Clients decide how long a connection idles, so that a test can count connections.
  server.keepAliveTimeout = 0;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    underWay += 1;
    response.once("close", () => {
      underWay -= 1;
      changed();
    });
    response.setHeader("date", new Date(Date.now() + clockAhead).toUTCString());
    try {
      const { action, input } = parse(request, body);
      requests.push({ action, headers: request.headers, body: input, at: performance.now() });
      changed();
      const fault = nextFault(action);
      if (fault !== undefined && (await commit(fault, response)) === "answered") return;
      const accepted = { region, service: "kms", accessKeys, now: Date.now() + clockAhead };
      verifySignature({ method: "POST", path: "/", headers: request.headers, body }, accepted);
      send(response, 200, await perform(action, input));
    } catch (thrown) {
      if (!(thrown instanceof KmsWireError)) throw thrown;
      sendError(response, thrown.type, thrown.message, thrown.status);
    }
  }

  function changed(): void {
    for (const look of waiting) look();
  }

  function nextFault(action: KmsAction): Fault | undefined {
    const order = orders.find((candidate) => candidate.left > 0 && (candidate.action ?? action) === action);
    if (order !== undefined) order.left -= 1;
    return order?.fault;
  }

  async function commit(fault: Fault, response: ServerResponse): Promise<"answered" | "go-on"> {
    switch (fault.kind) {
      case "error":
        for (const [name, value] of Object.entries(fault.headers ?? {})) response.setHeader(name, value);
        sendError(response, fault.type, fault.message, fault.status);
        return "answered";
      case "answer":
        response.writeHead(fault.status, { "content-type": fault.contentType }).end(fault.body);
        return "answered";
      case "reset":
        (response.socket as Socket).resetAndDestroy();
        return "answered";
      case "hang":
        return "answered";
      case "hang-in-body":
        response.writeHead(200, { "content-type": "application/x-amz-json-1.1", "content-length": "400" }).write("{");
        return "answered";
      case "slow":
        await sleep(fault.milliseconds);
        return "go-on";
    }
  }

  async function perform(action: KmsAction, input: Readonly<Record<string, unknown>>): Promise<object> {
    const context = contextOf(input);
    if (action === "Encrypt") {
      const plaintext = bytesOf(input, "Plaintext", 4096);
      const key = keys.use(textOf(input, "KeyId"), "Encrypt");
      const blob = await cryptography.encrypt(key, plaintext, context);
      return { CiphertextBlob: blob.toString("base64"), EncryptionAlgorithm: "SYMMETRIC_DEFAULT", KeyId: key.arn };
    }
    const blob = bytesOf(input, "CiphertextBlob", 6144);
    const key = keys.use(keys.ofBlob(blob).arn, "Decrypt");
    if (input["KeyId"] !== undefined && keys.use(textOf(input, "KeyId"), "Decrypt") !== key) {
      throw new KmsWireError(
        "IncorrectKeyException",
        "The key ID in the request does not identify the key of the ciphertext.",
      );
    }
    const plaintext = await cryptography.decrypt(key, blob, context);
    if (plaintext === undefined) throw new KmsWireError("InvalidCiphertextException", "");
    return { EncryptionAlgorithm: "SYMMETRIC_DEFAULT", KeyId: key.arn, Plaintext: plaintext.toString("base64") };
  }

  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${options.tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
    keys,
    accessKeys,
    requests,
    connections: () => connections,
    order: ({ fault, action, times }) => void orders.push({ fault, action, left: times ?? 1 }),
    setClockAhead: (milliseconds) => {
      clockAhead = milliseconds;
    },
    underWay: () => underWay,
    until: (condition) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!condition()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
    closeIdleConnections: () => server.closeIdleConnections(),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<unknown>((resolve) => server.close(resolve));
    },
  };
}

const members: Readonly<Record<KmsAction, ReadonlySet<string>>> = {
  Encrypt: new Set(["KeyId", "Plaintext", "EncryptionContext", "GrantTokens", "EncryptionAlgorithm", "DryRun"]),
  Decrypt: new Set([
    "KeyId",
    "CiphertextBlob",
    "EncryptionContext",
    "GrantTokens",
    "EncryptionAlgorithm",
    "Recipient",
    "DryRun",
  ]),
};

function parse(
  request: IncomingMessage,
  body: Buffer,
): { action: KmsAction; input: Readonly<Record<string, unknown>> } {
  const [service, action] = String(request.headers["x-amz-target"]).split(".");
  if (
    request.method !== "POST" ||
    request.url !== "/" ||
    service !== "TrentService" ||
    (action !== "Encrypt" && action !== "Decrypt")
  ) {
    throw new KmsWireError("UnknownOperationException", "");
  }
  if (request.headers["content-type"] !== "application/x-amz-json-1.1")
    throw new KmsWireError("UnknownOperationException", "");
  let input: unknown;
  try {
    input = JSON.parse(body.toString("utf8"));
  } catch {
    throw new KmsWireError("SerializationException", "");
  }
  if (typeof input !== "object" || input === null || Object.keys(input).some((name) => !members[action].has(name))) {
    throw new KmsWireError("SerializationException", "");
  }
  return { action, input: input as Record<string, unknown> };
}

function contextOf(input: Readonly<Record<string, unknown>>): EncryptionContext {
  const context = input["EncryptionContext"] ?? {};
  if (typeof context !== "object" || Object.values(context).some((value) => typeof value !== "string")) {
    throw new KmsWireError("SerializationException", "");
  }
  return context as EncryptionContext;
}

function textOf(input: Readonly<Record<string, unknown>>, name: string): string {
  const text = input[name];
  if (typeof text !== "string") throw new KmsWireError("SerializationException", "");
  return text;
}

function bytesOf(input: Readonly<Record<string, unknown>>, name: string, limit: number): Buffer {
  const text = textOf(input, name);
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new KmsWireError("SerializationException", "");
  const bytes = Buffer.from(text, "base64");
  if (bytes.length === 0 || bytes.length > limit) {
    throw new KmsWireError(
      "ValidationException",
      `1 validation error detected: Value at '${name}' failed to satisfy constraint: Member must have length between 1 and ${limit}`,
    );
  }
  return bytes;
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, {
      "content-type": "application/x-amz-json-1.1",
      "content-length": Buffer.byteLength(text),
      "x-amzn-requestid": "f0f0f0f0-0000-4000-8000-000000000000",
    })
    .end(text);
}

/** AWS KMS leaves `message` out where it has none. */
function sendError(response: ServerResponse, type: string, message: string, status: number): void {
  response.setHeader("x-amzn-errortype", type);
  send(response, status, { __type: type, ...(message === "" ? {} : { message }) });
}
