import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Client,
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServiceDefinition,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { endWithAnswer } from "../../../plugin-server/grpc/end-with-answer";

const unsendable = "unsendable";

const service: ServiceDefinition = {
  Echo: {
    path: "/test.Echo/Echo",
    requestStream: false,
    responseStream: false,
    requestSerialize: (text: string) => Buffer.from(text),
    requestDeserialize: (bytes) => bytes.toString(),
    responseSerialize: (text: string) => {
      if (text === unsendable) throw new Error("this has no bytes");
      return Buffer.from(text);
    },
    responseDeserialize: (bytes) => bytes.toString(),
  },
};

type Echo = Client & {
  Echo(text: string, answered: (error: ServiceError | null, text?: string) => void): void;
};

describe("the end of a call", () => {
  /** What grpc-js itself was told, in order. */
  const told: string[] = [];
  let directory: string;
  let server: Server;
  let client: Echo;

  class Told extends ServerInterceptingCall {
    override sendMessage(message: unknown, sent: () => void): void {
      super.sendMessage(message, () => {
        told.push("the message has left");
        sent();
      });
    }

    override sendStatus(ended: Parameters<ServerInterceptingCall["sendStatus"]>[0]): void {
      told.push(`ended with ${status[ended.code]}`);
      super.sendStatus(ended);
    }
  }

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "kms-etcd-end-"));
    const address = `unix:${join(directory, "echo.sock")}`;
    server = new Server({ interceptors: [(_method, call) => new Told(call), endWithAnswer] });
    server.addService(service, {
      Echo: ({ request }: { request: string }, answer: (error: null, text: string) => void) => answer(null, request),
    });
    await new Promise<void>((resolve, reject) => {
      server.bindAsync(address, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
    });
    client = new (makeGenericClientConstructor(service, "Echo"))(
      address,
      credentials.createInsecure(),
    ) as unknown as Echo;
  });
  beforeEach(() => told.splice(0));
  after(async () => {
    client.close();
    server.forceShutdown();
    await rm(directory, { recursive: true });
  });

  it("is sent without waiting for the message before it to leave, and arrives behind it", async () => {
    const text = "a".repeat(100_000);
    const answer = await new Promise((resolve, reject) =>
      client.Echo(text, (error, echoed) => (error ? reject(error) : resolve(echoed))),
    );
    assert.equal(answer, text);
    assert.deepEqual(told, ["ended with OK", "the message has left"]);
  });

  it("is a failure when the message can't be sent", async () => {
    const error = await new Promise<ServiceError | null>((resolve) => client.Echo(unsendable, resolve));
    assert.equal(error?.code, status.INTERNAL);
  });
});
