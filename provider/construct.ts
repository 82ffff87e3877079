/**
 * Construct: how programs in other languages get our components. The SDK's own provider server makes them, in a worker
 * thread: its runtime keeps the program's settings in globals, and loading it takes a second that nobody else should pay.
 */
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";
import type { ServiceError } from "@grpc/grpc-js";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import type { ConstructRequest, ConstructResponse } from "@pulumi/pulumi/proto/provider_pb";
import { KmsEtcdError } from "../core/errors";
import { ForeignStatus } from "./call-error";
import { connectUnary, type UnaryClient } from "./unary-call";

export interface ComponentHost {
  construct(request: ConstructRequest): Promise<ConstructResponse>;
  close(): Promise<void>;
}

/** Started by the first component, for the engine whose address is known by then. */
export function createComponentHost(engineAddress: () => string | undefined): ComponentHost {
  let started: { worker: Worker; client: Promise<UnaryClient> } | undefined;

  return {
    async construct(request) {
      started ??= start(engineAddress());
      const client = await started.client;
      try {
        return await client.call(ResourceProviderService.construct, request);
      } catch (thrown) {
        throw new ForeignStatus(thrown as ServiceError);
      }
    },
    async close() {
      const host = started;
      if (host === undefined) return;
      started = undefined;
      await host.client.then(
        (client) => client.close(),
        () => undefined,
      );
      await host.worker.terminate();
    },
  };
}

function start(engineAddress: string | undefined): { worker: Worker; client: Promise<UnaryClient> } {
  if (engineAddress === undefined) {
    throw new KmsEtcdError("internal", "a component was asked for before the engine's address is known");
  }
  const file = require.resolve(join(__dirname, "construct-worker"));
  const worker = new Worker(file, { argv: [engineAddress], stdout: true });
  return { worker, client: portOf(worker).then((port) => connectUnary(`127.0.0.1:${port}`)) };
}

/** The SDK's server prints its port as its first line. */
function portOf(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`the component host ended with exit code ${code}`)));
    createInterface(worker.stdout).once("line", (line) => {
      if (/^\d+$/.test(line)) resolve(Number(line));
      else reject(new Error(`the component host printed "${line}" instead of its port`));
    });
  });
}
