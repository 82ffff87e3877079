/** Messages to the Pulumi engine, which shows them beside the resource they are about. */
import { EngineService } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";
import { connectUnary } from "./unary-call";

export interface EngineLog {
  /** Shows in the row's Info column until the next one. Never throws: a lost line of progress is no reason to stop. */
  progress(urn: string, message: string): void;
  /** Stays in the Diagnostics section. Resolves when the engine has it. */
  warn(urn: string, message: string): Promise<void>;
  /** Shown with `--debug` only. */
  debug(message: string): Promise<void>;
  /** Resolves when the engine has everything that was said so far. */
  flush(): Promise<void>;
  close(): void;
}

/** A log for the engine at `address`, or one that goes nowhere while no address is known. */
export function createEngineLog(address: string | undefined): EngineLog {
  if (address === undefined) {
    return {
      progress: () => undefined,
      warn: async () => undefined,
      debug: async () => undefined,
      flush: async () => undefined,
      close: () => undefined,
    };
  }
  const engine = connectUnary(address);
  // One after the other: two calls at once may arrive in the other order, and progress would run backwards.
  let queue: Promise<void> = Promise.resolve();
  const send = (urn: string, severity: LogSeverity, message: string, ephemeral: boolean): Promise<void> => {
    queue = queue.then(() => deliver(urn, severity, message, ephemeral));
    return queue;
  };
  const deliver = async (urn: string, severity: LogSeverity, message: string, ephemeral: boolean) => {
    const request = new LogRequest();
    request.setUrn(urn);
    request.setSeverity(severity);
    request.setMessage(message);
    request.setEphemeral(ephemeral);
    // With one stream for both, the engine glues all progress lines to a warning in its Diagnostics section.
    request.setStreamid(ephemeral ? 1 : 0);
    try {
      await engine.call(EngineService.log, request);
    } catch {
      // The engine has gone away; the end of the call that is being served says so.
    }
  };
  return {
    progress: (urn, message) => void send(urn, LogSeverity.INFO, message, true),
    warn: (urn, message) => send(urn, LogSeverity.WARNING, message, false),
    debug: (message) => send("", LogSeverity.DEBUG, message, false),
    flush: () => queue,
    close: () => engine.close(),
  };
}
