/** Long-running operations: what goes on after PUT, DELETE or POST was answered, and how a client may follow it. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ArmError } from "./arm-error";
import type { Json, JsonObject } from "./shape";

export interface Operation {
  readonly id: string;
  readonly startTime: string;
  status: "InProgress" | "Succeeded" | "Failed";
  endTime: string | undefined;
  error: ArmError | undefined;
  result: Json | undefined;
  readonly done: Promise<void>;
}

export interface Operations {
  /** How long every operation takes at least. */
  durationMs: number;
  /** The Retry-After that is sent. */
  retryAfterSeconds: number;
  start(work: () => Promise<Json | undefined>): Operation;
  find(id: string): Operation | undefined;
  /** Resolves when nothing is under way. */
  settle(): Promise<void>;
  close(): void;
}

export function createOperations(now: () => number): Operations {
  const all = new Map<string, Operation>();
  const closing = new AbortController();
  const stamp = () => new Date(now()).toISOString();

  const operations: Operations = {
    durationMs: 0,
    retryAfterSeconds: 0,
    start(work) {
      const run = async (): Promise<void> => {
        // Even the shortest one is not done when it is answered.
        await sleep(Math.max(1, operations.durationMs), undefined, { signal: closing.signal });
        try {
          operation.result = await work();
          operation.status = "Succeeded";
        } catch (thrown) {
          operation.status = "Failed";
          operation.error =
            thrown instanceof ArmError ? thrown : new ArmError(500, "InternalOperationError", messageOf(thrown));
        }
        operation.endTime = stamp();
      };
      const operation: Operation = {
        id: randomUUID(),
        startTime: stamp(),
        status: "InProgress",
        endTime: undefined,
        error: undefined,
        result: undefined,
        done: Promise.resolve()
          .then(run)
          .catch(() => undefined), // aborted: the model is closed
      };
      all.set(operation.id, operation);
      return operation;
    },
    find: (id) => all.get(id),
    async settle() {
      await Promise.all([...all.values()].map((operation) => operation.done));
    },
    close: () => closing.abort(),
  };
  return operations;
}

/** What `GET` on the Azure-AsyncOperation URL answers. */
export function operationBody(operation: Operation): JsonObject {
  return {
    name: operation.id,
    status: operation.status,
    startTime: operation.startTime,
    ...(operation.endTime === undefined ? {} : { endTime: operation.endTime }),
    ...(operation.error === undefined
      ? {}
      : { error: { code: operation.error.code, message: operation.error.message } }),
  };
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
